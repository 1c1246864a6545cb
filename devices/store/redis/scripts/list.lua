-- Reads a page of a kind in the order of its ids.
-- KEYS: records, ids
-- ARGV: where to begin ('-' or '(' and an id), most records
-- Answers id and record of each.
local ids = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], '+', 'LIMIT', 0, ARGV[2])
local out = {}
for _, id in ipairs(ids) do
  local r = redis.call('HGET', KEYS[1], id)
  if r then
    out[#out + 1] = id
    out[#out + 1] = r
  end
end
return out

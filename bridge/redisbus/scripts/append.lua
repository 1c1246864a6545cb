-- Puts a share of an Append into a partition's inlet, once.
-- KEYS: inlet, meta, doors
-- ARGV: door, number (20 digits), most entries, most bytes, most doors, then for every chunk its entries' number and bytes
-- Answers 0 kept, 1 kept before, 2 out of order, 3 full.
if redis.replicate_commands then redis.replicate_commands() end -- before 7: TIME and INFO, and then writes
local last = redis.call('HGET', KEYS[3], ARGV[1])
if last then
  local seq = string.sub(last, 1, 20)
  if seq == ARGV[2] then return 1 end
  if seq > ARGV[2] then return 2 end
end

local m = redis.call('HMGET', KEYS[2], 'in', 'in_time', 'in_bytes', 'consumed', 'consumed_bytes')
local id, time, bytes = tonumber(m[1] or '0'), tonumber(m[2] or '0'), tonumber(m[3] or '0')
local n, size = 0, 0
for i = 6, #ARGV, 2 do
  n = n + tonumber(ARGV[i])
  size = size + #ARGV[i + 1]
end
if id - tonumber(m[4] or '0') + n > tonumber(ARGV[3]) or bytes - tonumber(m[5] or '0') + size > tonumber(ARGV[4]) then
  return 3
end

-- The server's clock, but never back: neither with the clock nor with a failover to a server whose clock is behind.
local now = redis.call('TIME')
time = math.max(time, tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000))
-- XADD comes first: out of memory it is refused, and nothing is written.
for i = 6, #ARGV, 2 do
  id = id + tonumber(ARGV[i])
  bytes = bytes + #ARGV[i + 1]
  redis.call('XADD', KEYS[1], string.format('%.0f-0', id), 't', string.format('%.0f', time), 'n', ARGV[i],
    'd', ARGV[1] .. ARGV[2] .. string.format('%d', i), 'c', string.format('%.0f', bytes), 'e', ARGV[i + 1])
end
if not last and redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[5]) then
  -- Forget the door that was quiet for longest. There are few, and this runs only where one is new.
  local all = redis.call('HGETALL', KEYS[3])
  local quiet, oldest
  for i = 1, #all, 2 do
    local noted = tonumber(string.sub(all[i + 1], 21))
    if not oldest or noted < oldest then quiet, oldest = all[i], noted end
  end
  redis.call('HDEL', KEYS[3], quiet)
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2] .. string.format('%.0f', id))
redis.call('HSET', KEYS[2], 'in', string.format('%.0f', id), 'in_time', string.format('%.0f', time),
  'in_bytes', string.format('%.0f', bytes))
return 0

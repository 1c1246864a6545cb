-- Reads what was committed after a revision, and where the store is, at one instant.
-- KEYS: meta, log
-- ARGV: the revision, most commits
-- Answers {revision, call, records, run of the server, then revision, call, call before and entry of each commit}.
local m = redis.call('HMGET', KEYS[1], 'rev', 'call', 'records')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local out = {m[1] or '0', m[2] or '', m[3] or '0', run}
for _, e in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])) do
  out[#out + 1] = string.match(e[1], '%d+')
  out[#out + 1] = e[2][2]
  out[#out + 1] = e[2][4]
  out[#out + 1] = e[2][6]
end
return out

-- Settles what became of publishes that got no answer: after it each of them was applied before, or never will be.
-- KEYS: lease, meta, log
-- ARGV: holder, ttl in ms, epoch, publishes known of, last call known of, this call, highest offset that may have been
-- shown, new epoch, then the calls that got no answer, the oldest first
-- Answers {'ok', publishes, offset}, {'lost', why} or {'stale'}.
if redis.replicate_commands then redis.replicate_commands() end -- before 7: TIME and INFO, and then writes
local m = redis.call('HMGET', KEYS[2], 'holder', 'epoch', 'n', 'call', 'offset', 'run')
local held = redis.call('GET', KEYS[1])
if m[1] ~= ARGV[1] or (held and held ~= ARGV[1]) then return {'lost', 'holder'} end
local n, offset, known = tonumber(m[3] or '0'), m[5] or '0', tonumber(ARGV[4])
local call = m[4] or ''
if call == ARGV[6] then return {'ok', m[3], offset} end

local found = call == ARGV[5]
for i = 9, #ARGV do found = found or call == ARGV[i] end
if m[2] == ARGV[3] and not found and n > known then return {'stale'} end
redis.call('HDEL', KEYS[2], 'probe') -- see acquire
if m[2] ~= ARGV[3] or not found then
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('HSET', KEYS[2], 'epoch', ARGV[8], 'holder', '')
  return {'lost', 'behind'}
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if m[6] ~= run and call ~= ARGV[#ARGV] then
  -- Another server: it may miss publishes that the one before applied and showed. Their offsets are not used again.
  offset = string.format('%.0f', math.max(tonumber(offset), tonumber(ARGV[7])))
end
n = string.format('%.0f', math.max(n, known + #ARGV - 8) + 1)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'n', n, 'call', ARGV[6], 'offset', offset, 'run', run)
return {'ok', n, offset}

-- Keeps the lease. One that lapsed is taken again where nobody had it since.
-- KEYS: lease, meta
-- ARGV: holder, its ttl in ms
-- Answers 1, or 0 where the lease is lost.
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
if held or redis.call('HGET', KEYS[2], 'holder') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[2], 'probe') -- see acquire
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1

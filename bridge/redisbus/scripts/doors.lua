-- Keeps, ends or lists the leases of doors.
-- KEYS: doors (sorted set of names by the end of their lease, server's clock in ms)
-- ARGV: keep, door with what it hears, door without, ms of a lease, most doors | leave, door | list
-- keep answers 0, or 1 where there are too many; list answers the names of those that live.
if redis.replicate_commands then redis.replicate_commands() end -- before 7: TIME, and then writes
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
if ARGV[1] == 'list' then
  return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')
end
if ARGV[1] == 'leave' then
  redis.call('ZREM', KEYS[1], ARGV[2] .. '1', ARGV[2] .. '0')
  return 0
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZREM', KEYS[1], ARGV[3])
if not redis.call('ZSCORE', KEYS[1], ARGV[2]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[5]) then return 1 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[4])), ARGV[2])
-- The key goes where nobody keeps a lease in it.
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[4]) * 2)
return 0

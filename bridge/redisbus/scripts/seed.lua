-- Has the inlet of a partition that holds nothing go on after an entry of another bus.
-- KEYS: meta, inlet
-- ARGV: the last entry, its time in ms
-- Answers 1, or 0 where the partition is in use.
if redis.call('HEXISTS', KEYS[1], 'in') == 1 or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'in', ARGV[1], 'in_time', ARGV[2], 'consumed', ARGV[1])
return 1

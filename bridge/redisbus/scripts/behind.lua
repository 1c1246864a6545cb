-- An edge says that it has seen a later offset than the store has: the store went back, and gets a new epoch.
-- KEYS: meta, log
-- ARGV: epoch, offset that was seen, new epoch
local m = redis.call('HMGET', KEYS[1], 'epoch', 'offset')
if m[1] ~= ARGV[1] or tonumber(m[2] or '0') >= tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'holder', '')
return 1

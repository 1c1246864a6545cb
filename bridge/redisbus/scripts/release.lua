-- Gives the partition up.
-- KEYS: lease, meta
-- ARGV: holder, the last call that it knows of, or '' where it does not know which was its last
-- A holder that knows hands over: the next one need not ask what may be lost.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
local m = redis.call('HMGET', KEYS[2], 'holder', 'call')
if m[1] ~= ARGV[1] then return 0 end
if (m[2] or '') == ARGV[2] then
  redis.call('HSET', KEYS[2], 'holder', '')
else
  redis.call('HSET', KEYS[2], 'holder', '?') -- nobody's name: who comes next compares the server's run
end
return 1

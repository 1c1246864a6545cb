-- Forgets what was committed before the last commit. What was deleted from a stream stays in its memory and files until its
-- neighbours go too, so it is written anew. Who had not read so far loads everything again.
-- KEYS: meta, log
-- Answers how many commits are forgotten.
local n = redis.call('XLEN', KEYS[2])
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if not last then return 0 end
redis.call('DEL', KEYS[2])
redis.call('XADD', KEYS[2], last[1], unpack(last[2]))
redis.call('HSET', KEYS[1], 'log_bytes', #last[2][6])
return n - 1

-- Begins a new history of a partition's offsets: what edges and viewers hold of the one before means nothing any more.
-- KEYS: lease, meta, log
-- ARGV: new epoch
-- Answers 1, or 0 where there is no partition yet.
if redis.call('HEXISTS', KEYS[2], 'epoch') == 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'holder', '')
return 1

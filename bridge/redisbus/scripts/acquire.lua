-- Takes the lease of a partition where nobody holds it.
-- KEYS: lease, meta, log
-- ARGV: holder, its ttl in ms, an epoch for a new history, 1 where a holder that lives may have had its time
-- Answers {'held'}, {'wait'} where the last holder may only have been cut off and comes first, or
-- {'own', epoch, offset, publishes, call, consumed, 1 where the epoch is new to the partition, config}.
if redis.replicate_commands then redis.replicate_commands() end -- before 7: TIME and INFO, and then writes
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return {'held'} end
local m = redis.call('HMGET', KEYS[2], 'epoch', 'offset', 'n', 'call', 'consumed', 'holder', 'run', 'config')
local epoch, left = m[1], m[6]
if left and left ~= '' and left ~= ARGV[1] and ARGV[4] ~= '1' then return {'wait'} end

-- A removal comes first: it is allowed out of memory and makes the rest allowed, since owners are who frees memory.
redis.call('HDEL', KEYS[2], 'probe')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local fresh = 0
-- The history is the one that our last holder knew where it handed over, or where the server never stopped. Else nobody
-- who could know says that nothing of it was lost.
if not epoch or (left and left ~= '' and left ~= ARGV[1] and m[7] ~= run) then
  epoch, fresh = ARGV[3], 1
  redis.call('DEL', KEYS[3])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'epoch', epoch, 'holder', ARGV[1], 'run', run)
return {'own', epoch, m[2] or '0', m[3] or '0', m[4] or '', m[5] or '0', fresh, m[8] or '0'}

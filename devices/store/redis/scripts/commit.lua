-- Commits ops whole or not at all, once for each call.
-- KEYS: meta, log, call, then a hash of records and a sorted set of ids for each kind
-- ARGV: call, its ttl in ms, most records, most commits and bytes of the log, the log's entry or '' where it is too large
--       for the log, then for every op: number of its kind, id, 'v' or 'd', condition ('', 'a' or a revision), value
-- Answers {'ok', revision}, {'conflict', number of the op} or {'full'}.
if redis.replicate_commands then redis.replicate_commands() end -- before 7: TIME, and then writes
local done = redis.call('GET', KEYS[3])
if done then return {'ok', done} end

local m = redis.call('HMGET', KEYS[1], 'rev', 'call', 'records', 'log_bytes')
local first, width = 7, 5
local grows = 0
for i = first, #ARGV, width do
  local has = redis.call('HGET', KEYS[2 + 2 * ARGV[i]], ARGV[i + 1])
  local wanted = ARGV[i + 3]
  if (wanted == 'a' and has) or (wanted ~= '' and wanted ~= 'a' and (not has or string.sub(has, 1, 16) ~= wanted)) then
    return {'conflict', (i - first) / width}
  end
  if ARGV[i + 2] == 'd' and has then grows = grows - 1 end
  if ARGV[i + 2] == 'v' and not has then grows = grows + 1 end
end
local records = tonumber(m[3] or '0') + grows
if grows > 0 and records > tonumber(ARGV[3]) then return {'full'} end

-- Revisions are the server's time where that is ahead, so that a server that lost commits in a failover does not give
-- their revisions to others. Microseconds fit a double until 2255.
local now = redis.call('TIME')
local rev = string.format('%016.0f', math.max(tonumber(m[1] or '0') + 1, tonumber(now[1]) * 1000000 + tonumber(now[2])))

-- XADD comes first: out of memory it is refused, and nothing is written.
redis.call('XADD', KEYS[2], string.format('%.0f-0', tonumber(rev)), 'c', ARGV[1], 'p', m[2] or '', 'd', ARGV[6])
redis.call('SET', KEYS[3], rev, 'PX', ARGV[2])
for i = first, #ARGV, width do
  local k, id = 2 + 2 * ARGV[i], ARGV[i + 1]
  if ARGV[i + 2] == 'v' then
    redis.call('HSET', KEYS[k], id, rev .. ARGV[i + 4])
    redis.call('ZADD', KEYS[k + 1], 0, id)
  else
    redis.call('HDEL', KEYS[k], id)
    redis.call('ZREM', KEYS[k + 1], id)
  end
end

local bytes, n = tonumber(m[4] or '0') + #ARGV[6], redis.call('XLEN', KEYS[2])
while n > tonumber(ARGV[4]) or (bytes > tonumber(ARGV[5]) and n > 1) do
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  bytes = bytes - #oldest[2][6]
  redis.call('XDEL', KEYS[2], oldest[1])
  n = n - 1
end
redis.call('HSET', KEYS[1], 'rev', rev, 'call', ARGV[1], 'records', records, 'log_bytes', string.format('%.0f', bytes))
return {'ok', rev}

-- Where a partition stands, and what follows an offset, for an edge.
-- KEYS: meta, log, events, inlet
-- ARGV: first offset wanted from the log, or '' for none; 1 where the events are wanted
-- Answers {epoch, offset, publishes, call of the offset, time, lag, tombstone floor, event floor, run, log, events}, or
-- nothing where there is no partition yet.
if redis.replicate_commands then redis.replicate_commands() end -- before 7: TIME and INFO, and then writes
local m = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'n', 'offset_call', 'time', 'tombstone_floor', 'event_floor')
if not m[1] then return {} end
local now = redis.call('TIME')
local oldest, lag = redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', 1)[1], 0
if oldest then
  lag = math.max(0, tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) - tonumber(oldest[2][2]))
end
local log, events = {}, {}
if ARGV[1] ~= '' then
  for _, e in ipairs(redis.call('XRANGE', KEYS[2], ARGV[1], '+')) do log[#log + 1] = e[2][4] end
end
if ARGV[2] == '1' then
  for _, e in ipairs(redis.call('XRANGE', KEYS[3], '-', '+')) do events[#events + 1] = e[2][2] end
end
return {m[1], m[2] or '0', m[3] or '0', m[4] or '', m[5] or '0', string.format('%.0f', lag), m[6] or '0', m[7] or '0',
  string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), log, events}

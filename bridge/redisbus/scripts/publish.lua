-- Commits one part of a flush: state, records, events, log, offset, consumed position, and the message to the edges.
-- KEYS: lease, meta, log, state, records, gone, events, inlet, trails, commands, told. The keys of the trails follow from
-- the members of trails and have the same hash tag: which of them a bound takes is known here only.
-- ARGV: see publishArgs in publish.go
-- Answers {'ok', publishes, offset, pruned blocks}, or as the first time without the last; {'lost', why} or {'stale'}.
if redis.replicate_commands then redis.replicate_commands() end -- before 7: TIME and INFO, and then writes
local holder, ttl, epoch, known, knownCall, call, freshEpoch = unpack(ARGV, 1, 7)
local time, consumed, chunk, chunkMark, checkRun = unpack(ARGV, 8, 12)
local tombstoneAge, maxTombstones, maxEvents, maxLog, maxLogBytes, channel, batch = unpack(ARGV, 13, 19)
local nLive, nGone, nEvents, nTrails = tonumber(ARGV[20]), tonumber(ARGV[21]), tonumber(ARGV[22]), tonumber(ARGV[23])
local trailPrefix, maxTrailBytes, trailAge, blockCost = ARGV[24], tonumber(ARGV[25]), tonumber(ARGV[26]), tonumber(ARGV[27])

local m = redis.call('HMGET', KEYS[2], 'holder', 'epoch', 'n', 'call', 'offset', 'consumed', 'consumed_bytes',
  'tombstone_floor', 'event_floor', 'log_bytes', 'run', 'trail_bytes', 'config')
local held = redis.call('GET', KEYS[1])
if m[1] ~= holder or (held and held ~= holder) then return {'lost', 'holder'} end
local n, offset = tonumber(m[3] or '0'), tonumber(m[5] or '0')
if m[4] == call then return {'ok', m[3], m[5] or '0'} end
if m[2] == epoch and n > tonumber(known) then return {'stale'} end -- a call of ours that was late on its way
if m[2] ~= epoch or (m[4] or '') ~= knownCall then
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('HSET', KEYS[2], 'epoch', freshEpoch, 'holder', '')
  return {'lost', 'behind'}
end

-- The inlet: an entry that the owner read must still be the one that it read, else the store went back.
local consumedBytes = m[7] or '0'
if tonumber(consumed) > tonumber(m[6] or '0') then
  local at = redis.call('XRANGE', KEYS[8], chunk .. '-0', chunk .. '-0')[1]
  if not at or at[2][6] ~= chunkMark then return {'lost', 'inlet'} end
  if chunk == consumed then
    consumedBytes = at[2][8]
  else
    local before = redis.call('XREVRANGE', KEYS[8], consumed .. '-0', '-', 'COUNT', 1)[1]
    if before then consumedBytes = before[2][8] end
  end
else
  consumed = m[6] or '0'
end
-- It is trimmed first: out of memory that is allowed, and makes the rest allowed, which frees more than it takes.
redis.call('XTRIM', KEYS[8], 'MINID', string.format('%.0f-0', tonumber(consumed) + 1))
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local oldest, lag = redis.call('XRANGE', KEYS[8], '-', '+', 'COUNT', 1)[1], 0
if oldest then lag = math.max(0, ms - tonumber(oldest[2][2])) end

-- The trails, before the changes, among which may be removals.
local trailBytes, pruned = tonumber(m[12] or '0'), 0
local function forget(field)
  local blocks = redis.call('LRANGE', trailPrefix .. field, 0, -1)
  for _, b in ipairs(blocks) do trailBytes = trailBytes - #b - blockCost end
  redis.call('DEL', trailPrefix .. field)
  redis.call('ZREM', KEYS[9], field)
  return #blocks
end
local from = 28 + 4 * nLive + 3 * nGone + nEvents
for i = from, from + 3 * nTrails - 1, 3 do
  local field, keep, block = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  if #block == 0 then
    forget(field)
  else
    local over = redis.call('RPUSH', trailPrefix .. field, block) - keep
    trailBytes = trailBytes + #block + blockCost
    for _ = 1, over do trailBytes = trailBytes - #redis.call('LPOP', trailPrefix .. field) - blockCost end
    redis.call('ZADD', KEYS[9], ms, field)
  end
end
-- What is erased: '', or the ids of the events that go, after a space. What was deleted from a stream stays in its memory
-- and files until its neighbours go too, so streams are written anew, as is an inlet that is short by now. Who needs the log
-- loads the state instead.
local logBytes = m[10] or '0'
local erased = ARGV[from + 3 * nTrails]
if erased ~= '' then
  local goes = {}
  for id in string.gmatch(erased, '%S+') do goes[id] = true end
  local function rewrite(key)
    local all = redis.call('XRANGE', key, '-', '+')
    redis.call('DEL', key)
    for _, e in ipairs(all) do
      if not goes[e[1]] then redis.call('XADD', key, e[1], unpack(e[2])) end
    end
  end
  rewrite(KEYS[7])
  if redis.call('XLEN', KEYS[8]) <= 1000 then rewrite(KEYS[8]) end
  redis.call('DEL', KEYS[3])
  logBytes = '0'
end
if nTrails > 0 then
  while trailBytes > maxTrailBytes do
    local quiet = redis.call('ZRANGE', KEYS[9], 0, 0)[1]
    if not quiet then trailBytes = 0 break end
    local block = redis.call('LPOP', trailPrefix .. quiet)
    if block then
      trailBytes, pruned = trailBytes - #block - blockCost, pruned + 1
    else
      redis.call('ZREM', KEYS[9], quiet)
    end
  end
  for _ = 1, 100 do -- some at a time
    local quiet = redis.call('ZRANGE', KEYS[9], 0, 0, 'WITHSCORES')
    if not quiet[1] or tonumber(quiet[2]) >= ms - trailAge then break end
    pruned = pruned + forget(quiet[1])
  end
end

-- The state. ARGV goes to HSET in slices, since Lua unpacks some thousands of values at most.
local slice = 2000
local at = 28
local content = nLive + nGone + nEvents > 0 or erased ~= ''
if content then offset = offset + 1 end
local score = string.format('%.0f', offset)
local live = at + 2 * nLive
for i = at, live - 1, slice do
  redis.call('HSET', KEYS[4], unpack(ARGV, i, math.min(i + slice, live) - 1))
end
local records = live + 2 * nLive
for i = live, records - 1, slice do
  redis.call('HSET', KEYS[5], unpack(ARGV, i, math.min(i + slice, records) - 1))
end
if nLive > 0 and redis.call('EXISTS', KEYS[6]) == 1 then
  for i = at, live - 1, 2 do redis.call('ZREM', KEYS[6], ARGV[i]) end
end
at = records
for i = at, at + 3 * nGone - 1, 3 do
  redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1])
  redis.call('HSET', KEYS[5], ARGV[i], '1' .. string.format('%013.0f', ms) .. ARGV[i + 2])
  redis.call('ZADD', KEYS[6], score, ARGV[i])
  forget(ARGV[i])
end
at = at + 3 * nGone
for i = 0, nEvents - 1 do
  redis.call('XADD', KEYS[7], score .. '-' .. string.format('%d', i + 1), 'e', ARGV[at + i])
end

-- The commands: rows of name and value, where no value forgets one. Who follows them is told the names.
local nCommands = tonumber(ARGV[#ARGV - 1])
if nCommands > 0 then
  local names = {}
  for i = #ARGV - 1 - 2 * nCommands, #ARGV - 2, 2 do
    if #ARGV[i + 1] == 0 then redis.call('HDEL', KEYS[10], ARGV[i]) else redis.call('HSET', KEYS[10], ARGV[i], ARGV[i + 1]) end
    names[#names + 1] = ARGV[i]
  end
  names = table.concat(names, ' ')
  local id = string.format('%.0f-0', redis.call('HINCRBY', KEYS[2], 'told', 1))
  local added = redis.pcall('XADD', KEYS[11], 'MAXLEN', 1024, id, 'i', names)
  if type(added) == 'table' and added.err then -- the count went back and the stream did not
    redis.call('DEL', KEYS[11])
    redis.call('XADD', KEYS[11], id, 'i', names)
  end
end

-- Tombstones: the oldest go, by number and by age, some at a time. The floor rises over them.
local floor = tonumber(m[8] or '0')
local over = redis.call('ZCARD', KEYS[6])
if over > 0 then
  over = over - tonumber(maxTombstones)
  for i = 1, 1000 + nGone do
    local first = redis.call('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')
    if not first[1] then break end
    if i > over then
      local since = redis.call('HGET', KEYS[5], first[1])
      if since and tonumber(string.sub(since, 2, 14)) >= ms - tonumber(tombstoneAge) then break end
    end
    floor = math.max(floor, tonumber(first[2]))
    redis.call('ZREM', KEYS[6], first[1])
    redis.call('HDEL', KEYS[4], first[1])
    redis.call('HDEL', KEYS[5], first[1])
  end
end
local eventFloor = m[9] or '0'
if nEvents > 0 then
  local extra = redis.call('XLEN', KEYS[7]) - tonumber(maxEvents)
  if extra > 0 then
    local gone = redis.call('XRANGE', KEYS[7], '-', '+', 'COUNT', extra)
    eventFloor = string.match(gone[extra][1], '^%d+')
    redis.call('XTRIM', KEYS[7], 'MAXLEN', maxEvents)
  end
end

-- What the edges are told, and for a while can ask for again.
n = string.format('%.0f', n + 1)
local message = table.concat({'1', n, string.format('%.0f', lag), string.format('%.0f', floor), eventFloor, call}, ' ')
  .. '\n' .. batch
if content then
  logBytes = string.format('%.0f', tonumber(logBytes) + #message)
  redis.call('XADD', KEYS[3], 'MAXLEN', maxLog, score .. '-0', 'c', logBytes, 'b', message)
  for i = 1, 8 do
    local first = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
    if tonumber(logBytes) - tonumber(first[2][2]) < tonumber(maxLogBytes) then break end
    redis.call('XDEL', KEYS[3], first[1])
  end
  redis.call('HSET', KEYS[2], 'offset', score, 'offset_call', call, 'log_bytes', logBytes)
end
redis.call('SET', KEYS[1], holder, 'PX', ttl)
redis.call('HSET', KEYS[2], 'n', n, 'call', call, 'time', time, 'consumed', consumed, 'consumed_bytes', consumedBytes,
  'tombstone_floor', string.format('%.0f', floor), 'event_floor', eventFloor,
  'trail_bytes', string.format('%.0f', math.max(0, trailBytes)))
if tonumber(ARGV[#ARGV]) > tonumber(m[13] or '0') then redis.call('HSET', KEYS[2], 'config', ARGV[#ARGV]) end
if checkRun == '1' then
  redis.call('HSET', KEYS[2], 'run', string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'))
end
local shown = redis.pcall('SPUBLISH', channel, message)
if type(shown) == 'table' and shown.err then redis.call('PUBLISH', channel, message) end -- a server before 7
return {'ok', n, score, string.format('%d', pruned)}

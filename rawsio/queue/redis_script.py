"""The program that Redis runs for a queue: all operations of one turn, in one step.

Redis runs a script without anything in between, so a turn is a transaction here as in a file.  All
keys of a queue begin with ``{rawsio:queue:NAME}``, which puts them into one slot of a cluster:

=============  =====================================================================================
``:log``       a stream: messages that need nothing but their turn, as entries ``<id>-0``
``:side``      a stream: messages with a priority, a delay, a group or an expiry
``:ready``     a sorted set: what may be claimed besides the new entries of ``:log``: messages of
               ``:side``, and those of ``:log`` that were given back; by priority, then by id
``:delayed``   sorted sets of ids, by the time that is due, by expiry, by id
``:expiring``
``:dead``
``:g:GROUP``   a sorted set: the members of a group that are no dead letters
``:info``      a hash: state, lease, deliveries, due, error of all but untouched entries of ``:log``
``:known``     a hash and a sorted set: keys of messages, with ids, until when they are known
``:until``
``:meta``      a hash: counts by state, the last id, the last entry of ``:log`` that was claimed
``:runs``      a sorted set: servers, by when they were heard last
``:gone``      a sorted set: servers whose leases were ended
``:last``      a hash: for each server the number and the results of its last turn
=============  =====================================================================================

Both streams have the consumer group ``rawsio``, in which each server is a consumer: its pending
entries are its leases, so ``XINFO`` and ``XPENDING`` show who holds what.  A server is heard with
each turn.  One that is silent for too long loses its leases: its pending entries are given back.
(``XAUTOCLAIM`` goes by how long ago an entry was delivered, and would take what a living server
works on for long.)

The answer to a turn may be lost with the connection.  The turn is then sent again with the same
number, and gets the results that are kept in ``:last``; nothing is done twice.
"""

from __future__ import annotations

__all__ = ["PLAIN", "SAVING", "digest"]

_BODY = r"""
local P, run, batch = KEYS[1], ARGV[1], ARGV[2]
local silence, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local interrupted, room = ARGV[5], tonumber(ARGV[6])
local function key(name) return P .. ':' .. name end
local LOG, SIDE, INFO, META = key('log'), key('side'), key('info'), key('meta')
local READY, DELAYED, EXPIRING, DEAD = key('ready'), key('delayed'), key('expiring'), key('dead')
local KNOWN, UNTIL = key('known'), key('until')
local RUNS, GONE, LAST = key('runs'), key('gone'), key('last')
local NAMES = {[0] = 'ready', 'delayed', 'blocked', 'leased', 'dead'}
local at, woke, unswept = 6, false, false
local cursor, last_id
local call = redis.call

local function take() at = at + 1; return ARGV[at] end
local function pad(id) return string.format('%016.0f', tonumber(id)) end
local function bare(id) return string.format('%.0f', tonumber(id)) end
-- Counts are added up here and written once.
local delta = {}
local function add(name, n) delta[name] = (delta[name] or 0) + n end
local function get(id) local p = call('HGET', INFO, id); return p and cmsgpack.unpack(p) end
local function put(id, info) call('HSET', INFO, id, cmsgpack.pack(info)) end
local function first(key) return call('ZRANGE', key, 0, 0, 'WITHSCORES') end

local function move(before, after)
  if before then add(NAMES[before], -1) end
  if after then add(NAMES[after], 1) end
end

local function fields_of(found)
  local fields = {}
  for i = 1, #found, 2 do fields[found[i]] = found[i + 1] end
  return fields
end

-- The fields of a message, and the stream that it is in.
local function entry(id)
  for _, stream in ipairs({LOG, SIDE}) do
    local found = call('XRANGE', stream, id, id)
    if found[1] then return fields_of(found[1][2]), stream end
  end
end

local function enter(id, state, fields, info)
  if state == 0 then
    call('ZADD', READY, -tonumber(fields.r or 0), pad(id))
    woke = true
  elseif state == 1 then
    call('ZADD', DELAYED, info[4], id)
  elseif state == 4 then
    call('ZADD', DEAD, id, id)
  end
  if state < 3 and fields.x then call('ZADD', EXPIRING, fields.x, id) end
end

local function leave(id, state, stream)
  if state == 0 then
    call('ZREM', READY, pad(id))
  elseif state == 1 then
    call('ZREM', DELAYED, id)
  elseif state == 3 then
    call('XACK', stream, 'rawsio', id .. '-0')
  elseif state == 4 then
    call('ZREM', DEAD, id)
  end
  if stream == SIDE then call('ZREM', EXPIRING, id) end
end

local function shift(id, info, state, fields, stream)
  leave(id, info[1], stream)
  move(info[1], state)
  info[1] = state
  info[2] = ''
  put(id, info)
  enter(id, state, fields, info)
end

local function head_of(group) return call('ZRANGE', P .. ':g:' .. group, 0, 0)[1] end

-- The member of a group whose turn it was has gone: the next one's turn has come.
local function promote(group)
  local id = head_of(group)
  local info = id and get(id)
  if info and info[1] == 2 then
    local fields, stream = entry(id)
    shift(id, info, tonumber(info[4]) > 0 and 1 or 0, fields, stream)
  end
end

local function leave_group(id, group, state)
  call('ZREM', P .. ':g:' .. group, id)
  if state ~= 2 then promote(group) end
end

local function remove(id, state, size, group, stream)
  leave(id, state, stream)
  call('XDEL', stream, id .. '-0')
  call('HDEL', INFO, id)
  move(state, nil)
  add('bytes', -size)
  if group and state ~= 4 then leave_group(id, group, state) end
end

local function remove_whole(id)
  local fields, stream = entry(id)
  local info = get(id)
  remove(id, info and info[1] or 0, #fields.b, fields.g, stream)
  return #fields.b
end

local function row(id, info, fields)
  return {
    id, info[1], fields.b, info[3], fields.p, fields.r or '0', info[4], fields.x or false,
    fields.g or false, fields.k or false, info[5],
  }
end

local function release(id, info, due, reason, back)
  local stream = info[6] == 1 and SIDE or LOG
  local fields = info[6] == 1 and entry(id) or {}
  info[4] = due
  info[5] = reason or info[5]
  info[3] = info[3] - back
  shift(id, info, tonumber(due) > 0 and 1 or 0, fields, stream)
end

local function bury(id, info, reason, group)
  info[5] = reason
  shift(id, info, 4, {}, info[6] == 1 and SIDE or LOG)
  if group then leave_group(id, group, 3) end
end

-- Ids in order, of both streams, behind one; or the newest first, with those before it.
local function each(from, back)
  local parts = {{LOG, from, {}, 0}, {SIDE, from, {}, 0}}
  local function peek(part)
    if part[4] >= #part[3] and part[2] then
      local behind = '(' .. part[2] .. '-0'
      if back then
        part[3] = call('XREVRANGE', part[1], behind, '-', 'COUNT', 100)
      else
        part[3] = call('XRANGE', part[1], behind, '+', 'COUNT', 100)
      end
      part[4] = 0
      local last = part[3][#part[3]]
      part[2] = last and string.match(last[1], '%d+')
    end
    local found = part[3][part[4] + 1]
    return found and string.match(found[1], '%d+'), found
  end
  return function()
    local a, first_entry = peek(parts[1])
    local b, second_entry = peek(parts[2])
    if a and (not b or (tonumber(a) < tonumber(b)) ~= (back or false)) then
      parts[1][4] = parts[1][4] + 1
      return a, first_entry[2]
    elseif b then
      parts[2][4] = parts[2][4] + 1
      return b, second_entry[2]
    end
  end
end

local function lent(id, lease)
  local info = get(id)
  return info and info[1] == 3 and info[2] == lease and info
end

local function revive(other)
  for _, stream in ipairs({LOG, SIDE}) do
    while true do
      local pending = call('XPENDING', stream, 'rawsio', '-', '+', 100, other)
      for _, found in ipairs(pending) do
        local id = string.match(found[1], '%d+')
        local info = get(id)
        if not info or info[1] ~= 3 then
          call('XACK', stream, 'rawsio', found[1])
        elseif info[3] >= most then
          bury(id, info, interrupted, stream == SIDE and entry(id).g)
        else
          release(id, info, '0', interrupted, 0)
        end
      end
      if #pending == 0 then break end
    end
    call('XGROUP', 'DELCONSUMER', stream, 'rawsio', other)
  end
end

-- The next message to be claimed: its id, and whether it is a new one of the log.
local function next_ready()
  local waiting = first(READY)
  local rank = waiting[1] and tonumber(waiting[2])
  if rank and rank < 0 then return bare(waiting[1]), false end
  local found = call('XRANGE', LOG, '(' .. cursor .. '-0', '+', 'COUNT', 1)
  local id = found[1] and string.match(found[1][1], '%d+')
  if id and (not rank or rank > 0 or tonumber(id) < tonumber(waiting[1])) then return id, true end
  return waiting[1] and bare(waiting[1]), false
end

local function claim_new(count, lease, rows)
  local found = call('XREADGROUP', 'GROUP', 'rawsio', run, 'COUNT', count, 'STREAMS', LOG, '>')
  local size = 0
  for _, message in ipairs(found and found[1] and found[1][2] or {}) do
    local id, fields = string.match(message[1], '%d+'), fields_of(message[2])
    local info = {3, lease, 1, '0', false, 0}
    put(id, info)
    cursor = id
    move(0, 3)
    rows[#rows + 1] = row(id, info, fields)
    size = size + #fields.b
  end
  call('HSET', META, 'cursor', cursor)
  return size
end

local function claim_waiting(id, lease, rows)
  local info = get(id)
  local fields, stream = entry(id)
  leave(id, 0, stream)
  move(0, 3)
  info[1], info[2], info[3] = 3, lease, info[3] + 1
  put(id, info)
  call('XCLAIM', stream, 'rawsio', run, 0, id .. '-0', 'FORCE', 'JUSTID')
  rows[#rows + 1] = row(id, info, fields)
  return #fields.b
end

local DO = {}

function DO.insert()
  local body, published, priority, due = take(), take(), take(), take()
  local expires, group, key, known_until, only = take(), take(), take(), take(), take()
  if key ~= '' then
    for _, old in ipairs(call('ZRANGEBYSCORE', UNTIL, '-inf', published, 'LIMIT', 0, 100)) do
      call('HDEL', KNOWN, old)
      call('ZREM', UNTIL, old)
    end
    local known = call('HGET', KNOWN, key)
    if known then
      local id, time = string.match(known, '(%d+) (-?%d+)')
      if tonumber(time) > tonumber(published) then return {id, 1} end
    end
  end
  if only == '1' then return false end
  last_id = (last_id or tonumber(call('HGET', META, 'ids') or 0)) + 1
  local id = bare(last_id)
  local state = due ~= '0' and 1 or 0
  local words = {'b', body, 'p', published}
  if key ~= '' then
    words[#words + 1] = 'k'; words[#words + 1] = key
    call('HSET', KNOWN, key, id .. ' ' .. known_until)
    call('ZADD', UNTIL, known_until, key)
  end
  add('bytes', #body)
  if priority == '0' and due == '0' and expires == '' and group == '' then
    call('XADD', LOG, id .. '-0', unpack(words))
    move(nil, 0)
    woke = true
    return {id, 0}
  end
  if priority ~= '0' then words[#words + 1] = 'r'; words[#words + 1] = priority end
  if expires ~= '' then words[#words + 1] = 'x'; words[#words + 1] = expires end
  if group ~= '' then
    words[#words + 1] = 'g'; words[#words + 1] = group
    if head_of(group) then state = 2 end
    call('ZADD', P .. ':g:' .. group, id, id)
  end
  call('XADD', SIDE, id .. '-0', unpack(words))
  local info = {state, '', 0, due, false, 1}
  put(id, info)
  enter(id, state, fields_of(words), info)
  move(nil, state)
  return {id, 0}
end

function DO.claim()
  local count, lease, rows, size = tonumber(take()), take(), {}, 0
  while #rows < count and size < room and not unswept do
    local id, new = next_ready()
    if not id then break end
    if new then
      -- Until something else has its turn; a rank above zero never has while there are new ones.
      local waiting = first(READY)
      local alone = not waiting[1] or tonumber(waiting[2]) > 0
      local step = alone and math.min(count - #rows, 50) or 1
      size = size + claim_new(step, lease, rows)
    else
      size = size + claim_waiting(id, lease, rows)
    end
  end
  return rows
end

function DO.delete()
  local id, lease, size, group = take(), take(), tonumber(take()), take()
  local info = lent(id, lease)
  if not info then return 0 end
  remove(id, 3, size, group ~= '' and group, info[6] == 1 and SIDE or LOG)
  return 1
end

function DO.release()
  local id, lease, due, reason, counted = take(), take(), take(), take(), take()
  local info = lent(id, lease)
  if not info then return 0 end
  release(id, info, due, reason ~= '' and reason, counted == '1' and 0 or 1)
  return 1
end

function DO.bury()
  local id, lease, reason, group = take(), take(), take(), take()
  local info = lent(id, lease)
  if not info then return 0 end
  bury(id, info, reason, group ~= '' and group)
  return 1
end

function DO.drop()
  local count, bytes = tonumber(take()), tonumber(take())
  local chosen, size = {}, 0
  local function choose(id, length)
    chosen[#chosen + 1] = id
    size = size + length
  end
  for _, id in ipairs(call('ZRANGE', DEAD, 0, -1)) do
    if #chosen >= count and size >= bytes then break end
    choose(id, #entry(id).b)
  end
  for id, words in each('0') do
    if #chosen >= count and size >= bytes then break end
    local info = get(id)
    if not info or info[1] < 3 then choose(id, #fields_of(words).b) end
  end
  for _, id in ipairs(chosen) do remove_whole(id) end
  return #chosen
end

function DO.sweep()
  local now, count = take(), take()
  local expired = call('ZRANGEBYSCORE', EXPIRING, '-inf', now, 'LIMIT', 0, count)
  for _, id in ipairs(expired) do remove_whole(id) end
  unswept = #expired == tonumber(count)
  for _, id in ipairs(call('ZRANGEBYSCORE', DELAYED, '-inf', now, 'LIMIT', 0, count)) do
    local fields, stream = entry(id)
    shift(id, get(id), 0, fields, stream)
  end
  return #expired
end

function DO.purge()
  local wanted, chosen = {}, {}
  for state in string.gmatch(take(), '%d') do wanted[tonumber(state)] = true end
  local count, before = tonumber(take()), take()
  for id in each(before, true) do
    if #chosen >= count then break end
    local info = get(id)
    if wanted[info and info[1] or 0] then chosen[#chosen + 1] = id end
  end
  for _, id in ipairs(chosen) do remove_whole(id) end
  return {chosen[#chosen] or '0', #chosen}
end

function DO.redrive()
  local chosen = call('ZRANGE', DEAD, 0, tonumber(take()) - 1)
  for _, id in ipairs(chosen) do
    local fields, stream = entry(id)
    local info, state = get(id), 0
    info[3], info[4] = 0, '0'
    if fields.g then
      if head_of(fields.g) then state = 2 end
      call('ZADD', P .. ':g:' .. fields.g, id, id)
    end
    shift(id, info, state, fields, stream)
  end
  return #chosen
end

function DO.peek()
  local state, count, after, most = take(), tonumber(take()), take(), tonumber(take())
  local rows, size = {}, 0
  for id, words in each(after) do
    if #rows >= count or size >= most then break end
    local info = get(id) or {0, '', 0, '0', false, 0}
    if state == '' or tonumber(state) == info[1] then
      local fields = fields_of(words)
      rows[#rows + 1] = row(id, info, fields)
      size = size + #fields.b
    end
  end
  return rows
end

local function counts()
  for name, n in pairs(delta) do
    if n ~= 0 then call('HINCRBY', META, name, n) end
  end
  if last_id then call('HSET', META, 'ids', bare(last_id)) end
  local found = call('HMGET', META, 'ready', 'delayed', 'blocked', 'leased', 'dead', 'bytes')
  for i = 1, 6 do found[i] = tonumber(found[i] or 0) end
  found[7] = first(DELAYED)[2] or false
  found[8] = first(EXPIRING)[2] or false
  local id = next_ready()
  found[9] = id and entry(id).p or false
  return found
end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if call('HEXISTS', META, 'cursor') == 0 then
  call('HSET', META, 'cursor', 0)
  for _, stream in ipairs({LOG, SIDE}) do
    call('XGROUP', 'CREATE', stream, 'rawsio', 0, 'MKSTREAM')
  end
end
cursor = call('HGET', META, 'cursor')
if run == '' then
  -- Never the same number twice, also when Redis has lost what it had.
  local before = tonumber(call('HGET', META, 'run') or 0)
  run = bare(math.max(before + 1, time[1] * 1000000 + time[2]))
  call('HSET', META, 'run', run)
end
call('ZADD', RUNS, now, run)
call('ZREM', GONE, run)
for _, other in ipairs(call('ZRANGEBYSCORE', RUNS, '-inf', now - silence)) do
  if other ~= run then
    revive(other)
    call('ZREM', RUNS, other)
    call('ZADD', GONE, now, other)
  end
end
for _, other in ipairs(call('ZRANGEBYSCORE', GONE, '-inf', now - 3600000)) do
  call('ZREM', GONE, other)
  call('HDEL', LAST, other)
end

local results = {}
local kept = call('HGET', LAST, run)
kept = kept and cmsgpack.unpack(kept)
if kept and tonumber(batch) < tonumber(kept[1]) then
  counts()
  return redis.error_reply('LATE this turn was followed by another')
elseif kept and kept[1] == batch then
  for i, result in ipairs(kept[2]) do
    if type(result) == 'table' and result.rows then
      local rows = {}
      for j, id in ipairs(result.rows) do
        local info, fields = get(id), entry(id)
        if info and fields then rows[#rows + 1] = row(id, info, fields) end
      end
      result = rows
    end
    results[i] = result
  end
else
  local short = {}
  while at < #ARGV do
    local name = take()
    local result = DO[name]()
    results[#results + 1] = result
    if name == 'claim' or name == 'peek' then
      local ids = {}
      for i, found in ipairs(result) do ids[i] = found[1] end
      result = {rows = ids}
    end
    short[#short + 1] = result
  end
  call('HSET', LAST, run, cmsgpack.pack({batch, short}))
end
if woke and call('ZCARD', RUNS) > 1 then call('PUBLISH', P .. ':wake', run) end
return {results, counts(), run}
"""

PLAIN = "#!lua\n" + _BODY
"""For turns with new messages: refused as a whole when Redis has no memory left."""
SAVING = "#!lua flags=allow-oom\n" + _BODY
"""For turns without: what ends messages goes on when there is no memory left."""


def digest(script: str) -> str:
    """Return the name by which Redis knows a script.

    >>> digest("return 1")
    'e0e1f9fabfc9d4800c877a703b823ac0578ff8db'
    """
    from hashlib import sha1

    return sha1(script.encode(), usedforsecurity=False).hexdigest()

-- Makes one commit of one room, all of it or nothing: whatever may refuse it is looked at before the first write.
-- KEYS: lease, room; where the logs are concerned log, index, order, runs, speakers, logs; where anything is not shown as
-- it was said hidden, amended; where the room ends all of them.
-- ARGV: nonce, expected revision, fence, then the changes, each a letter with its arguments. Without an expected
-- revision it only appends, whether there is a room or not.
-- Gives the new revision, or the reason of a refusal.
local lease, room = KEYS[1], KEYS[2]
local log, index, order, runs, speakers = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local logs, hidden, amended = KEYS[8], KEYS[9], KEYS[10]
local nonce, expected, fence = ARGV[1], ARGV[2], ARGV[3]
local ARITY = { C = 1, P = 2, D = 1, A = 9, R = 2, W = 4, X = 0 }

-- The number after one of eight bytes, the highest first.
local function successor(number)
  for n = 8, 1, -1 do
    local byte = number:byte(n)
    if byte < 255 then
      return number:sub(1, n - 1) .. string.char(byte + 1) .. string.rep('\0', 8 - n)
    end
  end
  return number
end

local function refused_by_room()
  local held = redis.call('HMGET', lease, 'fence', 'last')
  if held[2] == nonce then
    return tonumber(expected) + 1 -- It has been made; its answer was lost.
  elseif held[1] and tonumber(held[1]) > tonumber(fence) then
    return 'the lease was taken over'
  elseif (redis.call('HGET', room, 'revision') or '0') ~= expected then
    return 'another revision'
  end
end

-- The positions at which something is appended, in so far as they are not held.
local new = {}

local function refused_by_logs()
  local coming = {}
  local n = 4
  while ARGV[n] do
    if ARGV[n] == 'A' then
      local place, id = ARGV[n + 2]:sub(3), ARGV[n + 5]
      local held = redis.call('HMGET', index, 'i' .. id, 'p' .. place)
      if held[1] and held[1] ~= held[2] or not held[1] and coming[id] and coming[id] ~= place then
        return 'the event id is held at another position'
      elseif not held[2] then
        coming[id] = place
        new[place] = true
      end
    end
    n = n + 1 + ARITY[ARGV[n]]
  end
end

-- The last run of a log that begins at a number or before it.
local function run_before(name, number)
  local to = '(' .. name .. number .. '\255\255\255\255\255\255\255\255\255'
  return redis.call('ZREVRANGEBYLEX', runs, to, '[' .. name, 'LIMIT', 0, 1)[1]
end

-- Adds a number to the runs of a log, which it may lengthen or join.
local function extend(name, number)
  local low, top = number, number
  local next = successor(number)
  local run = run_before(name, next)
  if run and run:sub(-16, -9) == next then
    redis.call('ZREM', runs, run)
    top = run:sub(-8)
    run = run_before(name, number)
  end
  if run and successor(run:sub(-8)) == number then
    redis.call('ZREM', runs, run)
    low = run:sub(-16, -9)
  end
  redis.call('ZADD', runs, 0, name .. low .. top)
end

local function speak(arrival, nick, oid)
  local place = struct.pack('>I8', arrival)
  if nick ~= '' and oid ~= '' then
    redis.call('ZADD', speakers, 0, nick .. place, 0, oid .. place)
  elseif nick .. oid ~= '' then
    redis.call('ZADD', speakers, 0, nick .. oid .. place)
  end
end

local function append(ms, head, nick, oid, id, withheld, event, content, digest)
  local place = head:sub(3)
  if not new[place] then
    return
  end
  new[place] = nil
  local arrival = redis.call('HINCRBY', logs, 'last', 1)
  redis.call('HSET', index, 'p' .. place, arrival, 'i' .. id, arrival)
  redis.call('XADD', log, arrival .. '-0', 'e', event, 'c', content, 'd', digest)
  redis.call('ZADD', order, ms, head .. struct.pack('>I8', arrival) .. id)
  extend(place:sub(1, -9), place:sub(-8))
  if withheld == '1' then
    redis.call('ZADD', hidden, arrival, 'w' .. arrival)
  else
    speak(arrival, nick, oid)
  end
end

local function redact(id, content)
  local arrival = redis.call('HGET', index, 'i' .. id)
  if not arrival then
    return
  end
  local entry = redis.call('XRANGE', log, arrival, arrival)[1]
  if entry then
    redis.call('HSET', amended, 'e' .. arrival, entry[2][2], 'd' .. arrival, entry[2][6])
    redis.call('XDEL', log, arrival .. '-0')
  end
  redis.call('HSET', amended, 'c' .. arrival, content)
end

local function withhold(place, nick, oid, withheld)
  local arrival = redis.call('HGET', index, 'p' .. place)
  if not arrival then
    return
  elseif withheld == '1' then
    redis.call('ZADD', hidden, arrival, 'w' .. arrival)
    redis.call('ZREM', speakers, nick .. struct.pack('>I8', arrival), oid .. struct.pack('>I8', arrival))
  elseif redis.call('ZREM', hidden, 'w' .. arrival) == 1 then
    speak(arrival, nick, oid)
  end
end

local MAKE = {
  C = function(jid) redis.call('HSET', room, 'jid', jid) end,
  P = function(key, value) redis.call('HSET', room, '/' .. key, value) end,
  D = function(key) redis.call('HDEL', room, '/' .. key) end,
  A = append,
  R = redact,
  W = withhold,
  X = function() redis.call('UNLINK', unpack(KEYS, 2)) end,
}

local refused = expected ~= '' and refused_by_room() or refused_by_logs()
if refused then
  return refused
end
-- First what needs memory: a server that is full refuses the first write and none after it.
if expected ~= '' then
  redis.call('HSET', lease, 'last', nonce)
  redis.call('HINCRBY', room, 'revision', 1)
end
local n = 4
while ARGV[n] do
  local arity = ARITY[ARGV[n]]
  MAKE[ARGV[n]](unpack(ARGV, n + 1, n + arity))
  n = n + 1 + arity
end
return (tonumber(expected) or 0) + 1

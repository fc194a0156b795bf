-- Drops entries of a room, those that are still there, and gives how many.
-- KEYS: log, index, order, runs, speakers, logs, hidden, amended.
-- ARGV: for each its member of the order, and its speaker's nick and occupant id as the index of speakers has them.
local log, index, order, runs = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local speakers, logs, hidden, amended = KEYS[5], KEYS[6], KEYS[7], KEYS[8]

-- The number next to one of eight bytes, the highest first: after it, or before it with a step of -1.
local function neighbour(number, step)
  local from, to = 255, 0
  if step < 0 then from, to = 0, 255 end
  for n = 8, 1, -1 do
    local byte = number:byte(n)
    if byte ~= from then
      return number:sub(1, n - 1) .. string.char(byte + step) .. string.rep(string.char(to), 8 - n)
    end
  end
  return number
end

-- Takes a number out of the run that holds it, and keeps the place of a log: the highest number that it ever lost.
local function shrink(name, number, digest)
  local run = redis.call('ZREVRANGEBYLEX', runs, '[' .. name .. number .. string.rep('\255', 9), '[' .. name, 'LIMIT', 0, 1)[1]
  if run then
    local low, top = run:sub(-16, -9), run:sub(-8)
    redis.call('ZREM', runs, run)
    if low < number then redis.call('ZADD', runs, 0, name .. low .. neighbour(number, -1)) end
    if top > number then redis.call('ZADD', runs, 0, name .. neighbour(number, 1) .. top) end
  end
  local ended = redis.call('HGET', logs, 'e' .. name)
  if not ended or ended:sub(1, 8) < number then
    redis.call('HSET', logs, 'e' .. name, number .. digest)
  end
end

local function digest_of(arrival)
  local entry = redis.call('XRANGE', log, arrival, arrival)[1]
  return entry and entry[2][6] or redis.call('HGET', amended, 'd' .. arrival) or ''
end

local function drop(member, nick, oid)
  local place, bytes, id = member:sub(3, -25), member:sub(-24, -17), member:sub(-16)
  local arrival = string.format('%.0f', struct.unpack('>I8', bytes))
  -- First what needs memory: a server that is full refuses the first write and none after it.
  redis.call('ZADD', hidden, arrival, 'g' .. arrival)
  redis.call('ZREM', hidden, 'w' .. arrival)
  shrink(place:sub(1, -9), place:sub(-8), digest_of(arrival))
  redis.call('ZREM', order, member)
  redis.call('HDEL', index, 'p' .. place, 'i' .. id)
  redis.call('HDEL', amended, 'e' .. arrival, 'c' .. arrival, 'd' .. arrival)
  redis.call('ZREM', speakers, nick .. bytes, oid .. bytes)
  redis.call('XDEL', log, arrival .. '-0')
end

-- What is gone from the front needs not be remembered one by one.
local function move_first()
  local first = tonumber(redis.call('HGET', logs, 'first') or '1')
  local from = first
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', hidden, first, '+inf', 'LIMIT', 0, 1000)) do
    if member ~= string.format('g%.0f', first) then break end
    first = first + 1
  end
  if first > from then
    redis.call('HSET', logs, 'first', string.format('%.0f', first))
    redis.call('ZREMRANGEBYSCORE', hidden, from, first - 1)
  end
end

local dropped = 0
for n = 1, #ARGV, 3 do
  if redis.call('ZSCORE', order, ARGV[n]) then
    drop(ARGV[n], ARGV[n + 1], ARGV[n + 2])
    dropped = dropped + 1
  end
end
move_first()
return dropped

-- After a commit that was announced: confirms or releases the claim of the address, and takes out of the indexes what
-- holds no more, unless a later change was announced meanwhile.
-- KEYS: addresses, rooms, public, holding, stones, open.
-- ARGV: address, token, uid, 'claim' or 'release' or '', '0' if not public, parts to be found by no more.
-- Gives 1, or 0 if the claim was lost.
local addresses, rooms, public, holding, stones, open = unpack(KEYS)
local jid, token, uid, what, is_public = unpack(ARGV)
local claim = redis.call('HGET', addresses, jid)
if what == 'claim' then
  if claim == uid .. '?' then
    redis.call('HSET', addresses, jid, uid)
    redis.call('HDEL', stones, jid)
  elseif claim ~= uid then
    return 0
  end
end
if redis.call('HGET', open, jid) ~= token then
  return 1
end
if what == 'release' and (claim == uid or claim == uid .. '?') then
  redis.call('HDEL', addresses, jid)
  redis.call('ZREM', rooms, jid)
end
if is_public == '0' then
  redis.call('ZREM', public, jid)
end
for n = 6, #ARGV do
  redis.call('ZREM', holding, ARGV[n] .. '\0' .. jid)
end
redis.call('HDEL', open, jid)
return 1

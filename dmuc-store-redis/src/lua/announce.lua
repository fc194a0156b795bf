-- Before a commit that changes what is known of a room outside of it: claims its address, and adds to the indexes, which
-- may say too much until the change is settled, but never too little.
-- KEYS: addresses, rooms, public, holding, stones, open.
-- ARGV: address, token, the uid to claim it for or '', the end of the lease, another's claim that is known to be void,
-- tombstone or '' or '-' for none, '1' if public, parts to be found by.
-- Gives 0, 'blocked', or another's claim.
local addresses, rooms, public, holding, stones, open = unpack(KEYS)
local jid, token, uid, ends, void, stone, is_public = unpack(ARGV)
if uid ~= '' then
  local claim = redis.call('HGET', addresses, jid)
  local ours = claim == uid or claim == uid .. '?'
  if claim and not ours and claim ~= void then
    return claim
  end
  local old = redis.call('HGET', stones, jid)
  if old and tonumber(old:match('^%d+')) > tonumber(ends) then
    return 'blocked'
  end
  if not ours then
    redis.call('HSET', addresses, jid, uid .. '?')
  end
  redis.call('ZADD', rooms, 0, jid)
end
redis.call('HSET', open, jid, token)
if stone == '-' then
  redis.call('HDEL', stones, jid)
elseif stone ~= '' then
  redis.call('HSET', stones, jid, stone)
end
if is_public == '1' then
  redis.call('ZADD', public, 0, jid)
end
for n = 8, #ARGV do
  redis.call('ZADD', holding, 0, ARGV[n] .. '\0' .. jid)
end
return 0

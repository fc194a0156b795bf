-- Takes a lease that is free, expired or the node's own; a refusal is noted for the holder.
-- KEYS: lease. ARGV: node, now, the end. Gives the fence, or 0.
local holder, fence, expires, released = unpack(redis.call('HMGET', KEYS[1], 'holder', 'fence', 'expires', 'released'))
if holder and holder ~= ARGV[1] and released == '0' and tonumber(expires) > tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'wanted', '1')
  return 0
end
local raised = (tonumber(fence) or 0) + (holder == ARGV[1] and 0 or 1)
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'fence', raised, 'expires', ARGV[3], 'released', '0', 'wanted', '0')
return raised

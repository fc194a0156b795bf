-- Prolongs a lease that is still the newest. KEYS: lease. ARGV: fence, the end.
-- Gives 1, 2 if another node wants it, or 0 if it was taken over.
local fence, released, wanted = unpack(redis.call('HMGET', KEYS[1], 'fence', 'released', 'wanted'))
if fence ~= ARGV[1] or released ~= '0' then
  return 0
end
redis.call('HSET', KEYS[1], 'expires', ARGV[2])
return wanted == '1' and 2 or 1

-- Gives a lease back, unless it was taken over. KEYS: lease. ARGV: fence. Gives whether it was ours.
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'released', '1')
return 1

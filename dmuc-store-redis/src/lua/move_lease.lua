-- Corrects the index of leases, unless somebody has done so meanwhile. KEYS: leases.
-- ARGV: uid, the end that it had there, the end that it has or '' if it is not held.
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
elseif ARGV[3] == '' then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1

-- Notes the ends of logs of which nothing is held nor was. KEYS: runs, logs. ARGV: for each log its name, its end.
for n = 1, #ARGV, 2 do
  local name = ARGV[n]
  if #redis.call('ZRANGEBYLEX', KEYS[1], '[' .. name, '(' .. name .. string.rep('\255', 17), 'LIMIT', 0, 1) == 0 then
    redis.call('HSETNX', KEYS[2], 'e' .. name, ARGV[n + 1])
  end
end
return 1

-- KEYS: session, sessions. ARGV: key, instant by which it has expired.
local due = redis.call('ZSCORE', KEYS[2], ARGV[3])
if not due or tonumber(due) > tonumber(ARGV[4]) then
  return {'ok', 0}
end
redis.call('UNLINK', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[3])
return {'ok', 1}

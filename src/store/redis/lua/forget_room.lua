-- KEYS: room, log, closed rooms. ARGV: name, instant before which it was closed.
local due = redis.call('ZSCORE', KEYS[3], ARGV[3])
if not due or tonumber(due) >= tonumber(ARGV[4]) then
  return {'ok', 0}
end
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[3])
return {'ok', 1}

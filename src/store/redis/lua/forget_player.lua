-- KEYS: player, board. ARGV: id.
local held = redis.call('UNLINK', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[3])
return {'ok', held}

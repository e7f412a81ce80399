-- KEYS: session, sessions. ARGV: key, name, whether it sits in a room, the room, end, end for the clock.
redis.call('HSET', KEYS[1], 'name', ARGV[4], 'seated', ARGV[5], 'room', ARGV[6], 'expires', ARGV[7])
redis.call('PEXPIREAT', KEYS[1], ARGV[8])
redis.call('ZADD', KEYS[2], ARGV[8], ARGV[3])
return {'ok'}

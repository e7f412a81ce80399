-- KEYS: lists, ends of lists. ARGV: server, its list or '', milliseconds.
for _, server in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', whole(now))) do
  redis.call('HDEL', KEYS[1], server)
  redis.call('ZREM', KEYS[2], server)
end
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[1], ARGV[3])
  redis.call('ZREM', KEYS[2], ARGV[3])
else
  redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
  redis.call('ZADD', KEYS[2], whole(now + ARGV[5]), ARGV[3])
end
return {'ok'}

-- KEYS: room, open rooms, closed rooms, leases. ARGV: name, fence, at.
local room = redis.call('HMGET', KEYS[1], 'epoch', 'fence', 'closed')
if not room[1] then
  return {'none'}
end
if room[2] ~= ARGV[4] then
  return {'fenced', room[2]}
end
if not room[3] then
  redis.call('ZREM', KEYS[2], ARGV[3])
  redis.call('ZREM', KEYS[4], ARGV[3])
  redis.call('ZADD', KEYS[3], ARGV[5], ARGV[3])
  redis.call('HSET', KEYS[1], 'closed', ARGV[5])
end
return {'ok'}

-- KEYS: room, leases. ARGV: fence, name.
local room = redis.call('HMGET', KEYS[1], 'fence', 'released')
if not room[1] then
  return {'none'}
end
if room[2] == ARGV[3] or (room[1] == '0' and ARGV[3] == '0') then
  return {'ok'}
end
if room[1] ~= ARGV[3] then
  return {'fenced', room[1]}
end
-- First what frees memory: a script that has begun to write may go on when memory is full.
redis.call('HDEL', KEYS[1], 'holder', 'until')
local fence = whole(math.max(tonumber(room[1]) + 1, clock[1] * 1000000 + clock[2]))
redis.call('HSET', KEYS[1], 'fence', fence, 'released', ARGV[3])
redis.call('ZADD', KEYS[2], 'XX', whole(now), ARGV[4])
return {'ok'}

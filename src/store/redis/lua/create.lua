-- KEYS: room, open rooms, counter of rooms. ARGV: name, epoch, at, token of the call.
local room = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'made')
if room[1] then
  -- The same call once more, because its answer was lost.
  if room[3] == ARGV[6] then
    return {'ok', epoch_now(room[1], room[2])}
  end
  return {'exists'}
end
local place = redis.call('INCR', KEYS[3])
redis.call('ZADD', KEYS[2], place, ARGV[3])
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'run', ARGV[2], 'at', ARGV[5], 'made', ARGV[6],
  'first', '0', 'next', '0', 'fence', '0')
return {'ok', ARGV[4]}

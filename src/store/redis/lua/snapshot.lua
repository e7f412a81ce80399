-- KEYS: room.
local room = redis.call('HMGET', KEYS[1], 'epoch', 'covered', 'snapshot')
if not room[1] then
  return {'none'}
end
return {'ok', room[2], room[3]}

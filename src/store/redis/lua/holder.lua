-- KEYS: room.
local room = redis.call('HMGET', KEYS[1], 'fence', 'holder', 'until')
if not room[1] then
  return {'none'}
end
local left = tonumber(room[3] or 0) - now
if not room[2] or left <= 0 then
  return {'ok', false}
end
return {'ok', room[2], room[1], whole(left)}

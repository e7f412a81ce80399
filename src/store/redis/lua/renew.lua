-- KEYS: room. ARGV: fence, milliseconds.
local room = redis.call('HMGET', KEYS[1], 'fence', 'holder')
if not room[1] then
  return {'none'}
end
if room[1] ~= ARGV[3] or not room[2] then
  return {'fenced', room[1]}
end
redis.call('HSET', KEYS[1], 'until', whole(now + ARGV[4]))
return {'ok'}

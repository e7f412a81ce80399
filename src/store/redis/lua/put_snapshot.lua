-- KEYS: room. ARGV: fence, offset, body.
local room = redis.call('HMGET', KEYS[1], 'next', 'fence', 'covered')
if not room[1] then
  return {'none'}
end
if room[2] ~= ARGV[3] then
  return {'fenced', room[2]}
end
local offset = tonumber(ARGV[4])
if offset > tonumber(room[1]) then
  return {'conflict', room[1]}
end
if offset >= tonumber(room[3] or 0) then
  redis.call('HSET', KEYS[1], 'covered', ARGV[4], 'snapshot', ARGV[5])
end
return {'ok'}

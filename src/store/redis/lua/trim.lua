-- KEYS: room, log. ARGV: fence, before.
local room = redis.call('HMGET', KEYS[1], 'first', 'fence', 'covered')
if not room[1] then
  return {'none'}
end
if room[2] ~= ARGV[3] then
  return {'fenced', room[2]}
end
local first = math.max(tonumber(room[1]), math.min(tonumber(ARGV[4]), tonumber(room[3] or 0)))
-- First what frees memory: a script that has begun to write may go on when memory is full.
redis.call('XTRIM', KEYS[2], 'MINID', whole(first) .. '-1')
redis.call('HSET', KEYS[1], 'first', whole(first))
return {'ok', whole(first)}

-- KEYS: room, leases. ARGV: fence, milliseconds, name.
local room = redis.call('HMGET', KEYS[1], 'fence', 'holder', 'asked')
if not room[1] then
  return {'none'}
end
if room[1] ~= ARGV[3] or not room[2] then
  return {'fenced', room[1]}
end
redis.call('HSET', KEYS[1], 'until', whole(now + ARGV[4]))
-- A closed room is not listed there any more.
redis.call('ZADD', KEYS[2], 'XX', whole(now + ARGV[4]), ARGV[5])
return {'ok', tonumber(room[3] or 0) > now and 1 or 0}

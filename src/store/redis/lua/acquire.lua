-- KEYS: room, leases. ARGV: owner, milliseconds, name.
local room = redis.call('HMGET', KEYS[1], 'fence', 'holder', 'until', 'closed')
if not room[1] then
  return {'none'}
end
if room[2] and room[2] ~= ARGV[3] and tonumber(room[3]) > now then
  return {'held', room[2]}
end
-- Greater than the last; and, because that may be lost in a restart or with a room that was thrown
-- away, no less than the clock in microseconds.
local fence = whole(math.max(tonumber(room[1]) + 1, clock[1] * 1000000 + clock[2]))
redis.call('HSET', KEYS[1], 'fence', fence, 'holder', ARGV[3], 'until', whole(now + ARGV[4]))
redis.call('HDEL', KEYS[1], 'released', 'asked')
if not room[4] then
  redis.call('ZADD', KEYS[2], whole(now + ARGV[4]), ARGV[5])
end
return {'ok', fence}

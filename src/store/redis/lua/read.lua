-- KEYS: room, log. ARGV: from.
local room = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'next', 'first', 'closed')
if not room[1] then
  return {'none'}
end
if tonumber(ARGV[3]) < tonumber(room[4]) then
  return {'trimmed', room[4]}
end
local records = {}
if tonumber(ARGV[3]) < tonumber(room[3]) then
  records = redis.call('XRANGE', KEYS[2], ARGV[3] .. '-1', '+')
end
return {'ok', epoch_now(room[1], room[2]), room[3], records, room[5] and 1 or 0}

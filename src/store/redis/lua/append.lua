-- KEYS: room, log. ARGV: fence, expected, at, token of the call, bodies.
local room = redis.call('HMGET', KEYS[1], 'next', 'fence', 'epoch', 'run')
if not room[1] then
  return {'none'}
end
local next, expected, count = tonumber(room[1]), tonumber(ARGV[4]), #ARGV - 6
if count > 0 and expected < next then
  -- The same call once more, because its answer was lost?
  local first = redis.call('XRANGE', KEYS[2], ARGV[4] .. '-1', ARGV[4] .. '-1')[1]
  if first and first[2][6] == ARGV[6] then
    return {'ok', whole(expected + count)}
  end
end
if room[2] ~= ARGV[3] then
  return {'fenced', room[2]}
end
if next ~= expected then
  return {'conflict', room[1]}
end
if next + count > 4294967295 then
  return {'full'}
end
for i = 1, count do
  local token = i == 1 and ARGV[6] or ''
  redis.call('XADD', KEYS[2], whole(next + i - 1) .. '-1', 'at', ARGV[5], 'body', ARGV[6 + i], 'token', token)
end
redis.call('HSET', KEYS[1], 'next', whole(next + count), 'epoch', epoch_now(room[3], room[4]), 'run', ARGV[2])
return {'ok', whole(next + count)}

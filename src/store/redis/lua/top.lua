-- KEYS: board. ARGV: beginning of the players' keys, how many.
local standings = {}
if tonumber(ARGV[4]) > 0 then
  for i, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, whole(ARGV[4] - 1))) do
    local player = redis.call('HMGET', ARGV[3] .. id, 'name', 'games', 'wins', 'points', 'squares')
    standings[i] = {id, player[1], player[2], player[3], player[4], player[5]}
  end
end
return {'ok', standings}

-- KEYS: room, then a player and a board for each outcome.
-- ARGV: token of the call, number of the game, then id, name, won (0 or 1) and points for each outcome.
local counted = 'counted:' .. ARGV[4]
local room = redis.call('HMGET', KEYS[1], 'epoch', counted)
if not room[1] then
  return {'none'}
end
if room[2] then
  return {'ok', room[2] == ARGV[3] and 1 or 0}
end

-- The lower end of Wilson's interval in billionths, as `Standing::rank` computes it.
local function rank(games, wins)
  if wins == 0 then
    return 0
  end
  local z = 1.959963984540054
  local p = wins / games
  local middle = p + z * z / (2 * games)
  local half = z * math.sqrt(p * (1 - p) / games + z * z / (4 * games * games))
  local low = math.max((middle - half) / (1 + z * z / games), 0)
  return math.floor(low * 1e9 + 0.5)
end

redis.call('HSET', KEYS[1], counted, ARGV[3])
for i = 1, (#KEYS - 1) / 2 do
  local player, board = KEYS[2 * i], KEYS[2 * i + 1]
  local id, name, won, points = ARGV[4 * i + 1], ARGV[4 * i + 2], ARGV[4 * i + 3], ARGV[4 * i + 4]
  local games = redis.call('HINCRBY', player, 'games', 1)
  local wins = redis.call('HINCRBY', player, 'wins', won)
  redis.call('HINCRBY', player, 'points', points)
  redis.call('HINCRBY', player, 'squares', whole(points * points))
  redis.call('HSET', player, 'name', name)
  -- Ties are listed by id, upwards: so the best has the lowest score.
  redis.call('ZADD', board, whole(-rank(games, wins)), id)
end
return {'ok', 1}

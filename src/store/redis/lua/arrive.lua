-- KEYS: seat. ARGV: server, milliseconds, what words' keys begin with, session, milliseconds, how many words.
local seat = redis.call('HMGET', KEYS[1], 'server', 'number')
-- As fences: greater than the last, and no less than the clock, for the last may be lost.
local number = whole(math.max(tonumber(seat[2] or 0) + 1, clock[1] * 1000000 + clock[2]))
redis.call('HSET', KEYS[1], 'server', ARGV[3], 'number', number)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if seat[1] and seat[1] ~= ARGV[3] then
  local words = ARGV[5] .. seat[1]
  redis.call('XADD', words, 'MAXLEN', '~', ARGV[8], '*', 'word', 'elsewhere ' .. number .. ' ' .. ARGV[6])
  redis.call('PEXPIRE', words, ARGV[7])
end
return {'ok', number}

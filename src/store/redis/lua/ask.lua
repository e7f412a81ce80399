-- KEYS: room. ARGV: milliseconds.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'none'}
end
redis.call('HSET', KEYS[1], 'asked', whole(now + ARGV[3]))
return {'ok'}

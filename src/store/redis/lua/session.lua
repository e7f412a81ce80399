-- KEYS: session.
local session = redis.call('HMGET', KEYS[1], 'name', 'seated', 'room', 'expires')
return {'ok', session[1], session[2], session[3], session[4]}

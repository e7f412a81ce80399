-- KEYS: a place to write to.
redis.call('SET', KEYS[1], whole(now))
return {'ok'}

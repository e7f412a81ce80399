-- KEYS: a sorted set. ARGV: lowest score, highest score, how many.
return {'ok', redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[3], ARGV[4], 'LIMIT', 0, ARGV[5])}

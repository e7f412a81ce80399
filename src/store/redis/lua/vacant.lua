-- KEYS: leases. ARGV: how many.
return {'ok', redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(now), 'LIMIT', 0, ARGV[3])}

-- KEYS: words. ARGV: word, milliseconds, how many words.
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], '*', 'word', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'ok'}

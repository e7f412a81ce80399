-- KEYS: words. ARGV: the last that is known, how many.
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[3], '+', 'COUNT', ARGV[4])
local last, words = ARGV[3], {}
for i, entry in ipairs(entries) do
  last, words[i] = entry[1], entry[2][2]
end
return {'ok', last, words}

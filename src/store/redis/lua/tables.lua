-- KEYS: lists, ends of lists. ARGV: the server that asks.
local lists = {}
for _, server in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. whole(now), '+inf')) do
  if server ~= ARGV[3] then
    lists[#lists + 1] = redis.call('HGET', KEYS[1], server)
  end
end
return {'ok', lists}

-- The head of every script.
-- ARGV[1]: the last instant at which a write may be done, milliseconds by this clock; '' for reads.
-- ARGV[2]: the run of this server, which changes when it is started again.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ARGV[1] ~= '' and now > tonumber(ARGV[1]) then
  return {'late'}
end

-- Lua's numbers are doubles: whole up to 2^53, and to be written without an exponent.
local function whole(number)
  return string.format('%.0f', number)
end

-- A room's epoch as it is told. After a restart writes that were acknowledged may be gone, and
-- offsets of before may come to mean something else: so each run gives the room another epoch.
-- Which one follows from what is stored, so that reading need not write it.
local function epoch_now(epoch, run)
  if run == ARGV[2] then
    return epoch
  end
  local mixed = tonumber(string.sub(redis.sha1hex(epoch .. ' ' .. run .. ' ' .. ARGV[2]), 1, 8), 16)
  if mixed == tonumber(epoch) then
    mixed = (mixed + 1) % 4294967296
  end
  return whole(mixed)
end


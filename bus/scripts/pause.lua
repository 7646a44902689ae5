-- Leave an exchange alone for a while, unless a longer pause holds, and count its refusal.
-- KEYS: pause, traffic, counters of the exchange. ARGV: ms, reason, refusals to count.
local refusals = tonumber(ARGV[3])
if refusals > 0 then
  local bucket = math.floor(redis.call('TIME')[1] / 10)
  redis.call('HINCRBY', KEYS[2], bucket .. ':refused', refusals)
  redis.call('EXPIRE', KEYS[2], 120)
  redis.pcall('HINCRBY', KEYS[3], 'refusals', refusals)
end
if tonumber(ARGV[1]) > redis.call('PTTL', KEYS[1]) then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1]) end

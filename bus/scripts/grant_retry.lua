-- Count another try of a request, where the tries of the last minute leave room for it.
-- KEYS: traffic, counters of the exchange. ARGV: tries that are always granted within a minute, percent of the requests sent.
-- Returns 1 when it is granted, else 0.
local bucket = math.floor(redis.call('TIME')[1] / 10)
local sent, retried = 0, 0
for n = bucket - 5, bucket do
  local found = redis.call('HMGET', KEYS[1], n .. ':sent', n .. ':retried')
  sent, retried = sent + (found[1] or 0), retried + (found[2] or 0)
end
if retried >= math.max(tonumber(ARGV[1]), sent * ARGV[2] / 100) then return 0 end
redis.call('HINCRBY', KEYS[1], bucket .. ':retried', 1)
redis.call('EXPIRE', KEYS[1], 120)
redis.pcall('HINCRBY', KEYS[2], 'retries', 1)
return 1

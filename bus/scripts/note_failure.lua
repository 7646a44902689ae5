-- Count a request that the exchange did not answer well, and open its breaker where most of them end so.
-- KEYS: breaker, traffic, counters of the exchange. ARGV: reason, 1 for a probe, fewest failures that open it, first wait for a probe (µs),
--   longest wait (µs), chance in [0, 1), longest that a probe is ever ahead (µs), life (ms).
-- Returns 1 when this failure opened it, else 0.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local bucket = math.floor(time[1] / 10)
redis.call('HINCRBY', KEYS[2], bucket .. ':failed', 1)
redis.call('EXPIRE', KEYS[2], 120)
redis.pcall('HINCRBY', KEYS[3], 'failures', 1)
local probes = tonumber(redis.call('HGET', KEYS[1], 'probes') or '')
if probes and ARGV[2] == '0' then return 0 end  -- had left before it opened

local function lately(what)
  local fields = {(bucket - 1) .. ':' .. what, bucket .. ':' .. what}
  local found = redis.call('HMGET', KEYS[2], unpack(fields))
  return tonumber(found[1] or '0') + tonumber(found[2] or '0')
end
local failed = lately('failed')
if not probes and (failed < tonumber(ARGV[3]) or failed * 2 < lately('sent')) then return 0 end
if not probes then redis.call('HSET', KEYS[1], 'opened_us', string.format('%.0f', now)) end
local wait = math.min(tonumber(ARGV[5]), ARGV[4] * 2 ^ (probes and probes + 1 or 0)) * (1 + ARGV[6]) / 2
redis.call('HSET', KEYS[1], 'probes', probes and probes + 1 or 0, 'probe_us', string.format('%.0f', now + wait),
  'most_us', ARGV[7], 'reason', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[8])
return probes and 0 or 1

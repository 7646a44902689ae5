-- Use a slot of a budget that was reserved, or reserve the next free one, by the server's clock.
-- KEYS: slots (sorted set: those handed out by their instant µs, and 'free': when the next one is), pause, breaker,
--   traffic, counters of the exchange.
-- ARGV: cost of this request (µs), most ahead (µs), how late a slot may be used (µs), the slot reserved or '',
--   longest wait for the outcome of a probe (µs), 1 for the probe, which was held up and needs another slot.
-- Returns {'go', µs within which to send, 1 for a probe}, {'wait', µs, slot or ''}, {'paused', µs left, ''} or
--   {'broken', µs to the next probe, µs since the breaker opened}.
local paused = redis.call('PTTL', KEYS[2])
if paused > 0 then
  local value = redis.pcall('GET', KEYS[2])
  local given = type(value) == 'string' and tonumber(string.match(value, '^(%d+) ms: ') or '')
  if given and paused > given then  -- longer than it was given: the clock was set back
    redis.call('PEXPIRE', KEYS[2], given)
    paused = given
  end
  return {'paused', paused * 1000, ''}
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, ahead, late = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local breaker = redis.call('HMGET', KEYS[3], 'probe_us', 'opened_us', 'most_us')
local probe = tonumber(breaker[1] or '')
-- Further ahead than any probe is put: the clock was set back.
if probe and probe > now and probe - now <= tonumber(breaker[3]) and ARGV[6] ~= '1' then
  return {'broken', probe - now, now - breaker[2]}
end

-- %.0f: the default conversion of numbers loses digits at this size.
local function exact(number) return string.format('%.0f', number) end
local function go(slot)
  if probe then redis.call('HSET', KEYS[3], 'probe_us', exact(now + ARGV[5])) end
  local bucket = math.floor(time[1] / 10)
  if redis.call('HINCRBY', KEYS[4], bucket .. ':sent', 1) == 1 then
    for _, field in ipairs(redis.call('HKEYS', KEYS[4])) do
      if math.abs(bucket - tonumber(string.match(field, '^%d+'))) > 6 then redis.call('HDEL', KEYS[4], field) end
    end
    redis.call('EXPIRE', KEYS[4], 120)
  end
  redis.call('HINCRBY', KEYS[4], bucket .. ':used_us', cost)
  redis.pcall('HINCRBY', KEYS[5], 'requests', 1)  -- no reason to send nothing
  return {'go', late - (now - slot), probe and 1 or 0}
end

local free = tonumber(redis.call('ZSCORE', KEYS[1], 'free') or '')
-- Further ahead than anybody may reserve: the clock was set back, and no slot of before is of any use.
if free and free > now + 3 * ahead then
  redis.call('DEL', KEYS[1])
  free = nil
end
if ARGV[4] ~= '' and redis.call('ZREM', KEYS[1], ARGV[4]) == 1 then
  local slot = tonumber(ARGV[4])
  if math.abs(now - slot) <= late then return go(slot) end
  -- Too late: given back where nobody has reserved behind it.
  if free == slot + cost then
    free = slot
    redis.call('ZADD', KEYS[1], exact(free), 'free')
  end
end
-- Where nothing is known, somebody may have sent just now, before the server lost its memory.
local slot = math.max(now, free or now + cost)
if slot - now > ahead then return {'wait', slot - now - ahead, ''} end
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, exact(now - 60000000))
redis.call('ZADD', KEYS[1], exact(slot + cost), 'free')
redis.call('PEXPIRE', KEYS[1], math.ceil((slot + cost - now) / 1000) + 60000)
if slot == now then return go(slot) end
redis.call('ZADD', KEYS[1], exact(slot), exact(slot))
return {'wait', slot - now, exact(slot)}

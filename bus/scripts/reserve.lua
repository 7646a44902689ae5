-- Reserve the next free slot of a budget, by the server's clock.
-- KEYS: when the next slot is free (µs), pause. ARGV: cost of this request (µs), most ahead (µs).
-- Returns {'go', µs to wait}, {'later', µs after which to ask again} or {'paused', µs left}.
local paused = redis.call('PTTL', KEYS[2])
if paused > 0 then return {'paused', paused * 1000} end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ahead = tonumber(ARGV[2])
local free = tonumber(redis.call('GET', KEYS[1]) or '0')
-- Further ahead than anybody may reserve: the clock was set back.
if free > now + ahead + tonumber(ARGV[1]) then free = now + ahead end
local slot = math.max(now, free)
if slot - now > ahead then return {'later', slot - now - ahead} end
local next_free = slot + tonumber(ARGV[1])
-- %.0f: the default conversion of numbers loses digits at this size.
redis.call('SET', KEYS[1], string.format('%.0f', next_free), 'PX', math.ceil((next_free - now) / 1000) + 60000)
return {'go', slot - now}

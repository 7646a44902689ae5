-- End a request that nobody runs, or have the one that runs it end it.
-- KEYS: request hash, open requests, pages list. ARGV: id, life after the end ms.
-- Returns the state: 'cancelled', 'cancelling', 'done', 'failed', or '' when unknown.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'state', 'lease_until')
local state = known[1]
if not state then return '' end
if state == 'done' or state == 'failed' or state == 'cancelled' then return state end
if state == 'running' and tonumber(known[2]) > now then
  redis.call('HSET', KEYS[1], 'cancel', 1)
  return 'cancelling'
end
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'ended_ms', now)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return 'cancelled'

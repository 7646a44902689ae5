-- End a request, also while a worker runs it: that is refused whatever it publishes from now on.
-- KEYS: request hash, open requests, pages list. ARGV: id, life after the end ms.
-- Returns the state: 'cancelled', 'done', 'failed', or '' when unknown.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return '' end
if state == 'done' or state == 'failed' or state == 'cancelled' then return state end
-- Asked again at once, it needs a job of another id: when the one that runs now ends, RQ takes that id from the queue.
if state == 'running' then redis.call('HINCRBY', KEYS[1], 'turn', 1) end
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'lease_until', 0, 'ended_ms', now)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return 'cancelled'

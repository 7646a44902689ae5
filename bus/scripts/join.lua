-- Say that a process lives, and count those that do. KEYS: sorted set of processes. ARGV: owner, life ms.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- First the write that needs no memory: what follows it is then accepted even when memory has run out.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
-- Longer than anybody is given: the clock was set back, or it is nobody.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 2 * ARGV[2], '+inf')
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return redis.call('ZCARD', KEYS[1])

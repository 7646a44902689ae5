-- Keep a loaded value and give up the right to load it, unless that right has passed to another.
-- KEYS: lease, value. ARGV: token, body, TTL in ms.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
return 1

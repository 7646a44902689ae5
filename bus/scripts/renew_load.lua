-- Keep the right to load a value for another while, unless it has passed to another. KEYS: lease. ARGV: token, life in ms.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0

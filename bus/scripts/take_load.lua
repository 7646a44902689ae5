-- Take the right to load a value, where nobody has it. KEYS: lease. ARGV: token, life in ms.
-- A life longer than any that is given: the server's clock was set back, and who has the right may be dead.
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0

-- Look after a request no more once it has ended or its record is gone; one that was accepted again since stays.
-- KEYS: request hash, open requests. ARGV: id.
-- Returns whether it was let go: 1 or 0.
local state = redis.call('HGET', KEYS[1], 'state')
if state and state ~= 'done' and state ~= 'failed' and state ~= 'cancelled' then return 0 end
return redis.call('ZREM', KEYS[2], ARGV[1])

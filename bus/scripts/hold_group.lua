-- Take or keep the ownership of an alignment group. KEYS: lease. ARGV: owner, lease ms.
-- The fence rises whenever the owner changes, so that a former owner's commits are refused.
-- Returns the fence, or 0 while somebody else owns the group.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'owner', 'until', 'fence')
local mine = held[1] == ARGV[1]
if held[1] and not mine and tonumber(held[2]) > now then return 0 end
local fence = mine and tonumber(held[3]) or redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', now + ARGV[2])
return fence

-- Requests that nobody looked after in time; each is handed to one caller only.
-- KEYS: open requests. ARGV: grace ms, most, the furthest ahead that anybody puts a look, ms.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
-- Further ahead than that: the server's clock was set back.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now + ARGV[3], '+inf', 'LIMIT', 0, ARGV[2])) do
  ids[#ids + 1] = id
end
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now + ARGV[1], id) end
return ids

-- Take a request into the book, or find it there.
-- KEYS: request hash, open requests, pages list. ARGV: id, arguments, grace ms, most open requests.
-- Returns {what, turn}: 'new', 'known' (live or done with these arguments), 'again' (ended badly; goes on from its
-- checkpoint), 'conflict' (live with other arguments), 'full' (so many are open).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'args', 'state', 'turn')
local state = known[2]
local function full() return redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) end
if state then
  local ended_badly = state == 'failed' or state == 'cancelled'
  if known[1] ~= ARGV[2] then
    if state ~= 'done' and not ended_badly then return {'conflict', known[1]} end
    if full() then return {'full', tonumber(ARGV[4])} end
    redis.call('DEL', KEYS[1], KEYS[3])
  elseif not ended_badly then
    return {'known', tonumber(known[3])}
  elseif full() then
    return {'full', tonumber(ARGV[4])}
  else
    redis.call('HSET', KEYS[1], 'state', 'queued', 'stalls', 0, 'lease_until', 0)
    redis.call('HDEL', KEYS[1], 'error', 'ended_ms')
    redis.call('PERSIST', KEYS[1])
    redis.call('PERSIST', KEYS[3])
    redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
    return {'again', tonumber(known[3])}
  end
end
if full() then return {'full', tonumber(ARGV[4])} end
redis.call('HSET', KEYS[1], 'args', ARGV[2], 'state', 'queued', 'turn', 1, 'attempt', 0, 'lease_until', 0,
  'stalls', 0, 'pages', 0, 'candles', 0, 'gap_slots', 0, 'requests', 0, 'refusals', 0, 'long_decimals', 0,
  'created_ms', now)
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
return {'new', 1}

-- Begin a turn of a request, under a fence of its own, unless another attempt holds it.
-- KEYS: request hash, open requests, pages list.
-- ARGV: id, arguments, turn of the job (0: the job of another app, which names none), worker, lease ms, most stalls,
--       life after the end ms.
-- Returns {'claimed', attempt, created ms} or {why not, detail}: both make the fence, for a record may end, be deleted and
-- begin anew under the same id.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'args', 'state', 'turn', 'lease_until', 'stalls')
local state = known[2]
if not state then
  redis.call('HSET', KEYS[1], 'args', ARGV[2], 'state', 'queued', 'turn', 1, 'attempt', 0, 'lease_until', 0,
    'stalls', 0, 'pages', 0, 'candles', 0, 'gap_slots', 0, 'requests', 0, 'refusals', 0, 'long_decimals', 0,
    'created_ms', now)
  known = {ARGV[2], 'queued', '1', '0', '0'}
  state = 'queued'
end
if known[1] ~= ARGV[2] then return {'conflict', known[1]} end
if state == 'done' or state == 'failed' or state == 'cancelled' then return {'ended', state} end
local turn = tonumber(ARGV[3])
if turn ~= 0 and turn < tonumber(known[3]) or turn == 0 and tonumber(known[3]) > 1 then return {'stale', known[3]} end
-- Further ahead than any lease: the server's clock was set back, and who holds it may be dead. The fence tells.
if state == 'running' and tonumber(known[4]) > now and tonumber(known[4]) <= now + ARGV[5] then return {'busy', tonumber(known[4]) - now} end

if tonumber(known[5]) >= tonumber(ARGV[6]) then
  redis.call('HSET', KEYS[1], 'state', 'failed', 'lease_until', 0, 'ended_ms', now, 'error', cjson.encode({
    type = 'BusError', message = ARGV[6] .. ' attempts ended without a page, the last one on ' .. ARGV[4]}))
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
  redis.call('PEXPIRE', KEYS[3], ARGV[7])
  return {'ended', 'failed'}
end
local attempt = redis.call('HINCRBY', KEYS[1], 'attempt', 1)
redis.call('HSET', KEYS[1], 'state', 'running', 'lease_until', now + ARGV[5], 'worker', ARGV[4],
  'stalls', tonumber(known[5]) + 1)
redis.call('ZADD', KEYS[2], now + ARGV[5], ARGV[1])
return {'claimed', attempt, tonumber(redis.call('HGET', KEYS[1], 'created_ms') or '0')}

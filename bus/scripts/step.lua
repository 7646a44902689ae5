-- Change a request that this attempt holds: 'span', 'renew', 'release', 'done' or 'failed'.
-- KEYS: request hash, open requests, pages list.
-- ARGV: id, fence, what, first, second, life after the end ms.
--   span: first = since ms, second = until ms; fixed only once.   renew: first = lease ms.
--   release: first = grace ms; the next turn may begin; second = 1 when this turn was cut short through no fault of its.
--   done: refused before the checkpoint reaches the end.          failed: first = error as JSON.
-- Returns {'ok', detail}, {'fenced', attempt}, {'cancelled', attempt} or {'short', checkpoint}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'attempt', 'state', 'since', 'until', 'next_ms', 'stalls', 'created_ms')
local fence = (known[1] or '0') .. '-' .. (known[7] or '0')
if fence ~= ARGV[2] or known[2] ~= 'running' then
  return {known[2] == 'cancelled' and 'cancelled' or 'fenced', tonumber(known[1] or '0')}
end

local function ended(how)
  redis.call('HSET', KEYS[1], 'state', how, 'lease_until', 0, 'ended_ms', now)
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  redis.call('PEXPIRE', KEYS[3], ARGV[6])
end
local what = ARGV[3]
if what == 'failed' then
  redis.call('HSET', KEYS[1], 'error', ARGV[4])
  ended('failed')
  return {'ok', 0}
end
if what == 'span' then
  if not known[3] then
    redis.call('HSET', KEYS[1], 'since', ARGV[4], 'until', ARGV[5], 'next_ms', ARGV[4])
  end
elseif what == 'renew' then
  redis.call('HSET', KEYS[1], 'lease_until', now + ARGV[4])
  redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[1])
elseif what == 'release' then
  local turn = redis.call('HINCRBY', KEYS[1], 'turn', 1)
  redis.call('HSET', KEYS[1], 'state', 'queued', 'lease_until', 0)
  if ARGV[5] == '1' then redis.call('HSET', KEYS[1], 'stalls', math.max(0, tonumber(known[6]) - 1)) end
  redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[1])
  return {'ok', turn}
elseif what == 'done' then
  if not known[4] or known[5] ~= known[4] then return {'short', tonumber(known[5] or '0')} end
  ended('done')
end
return {'ok', 0}

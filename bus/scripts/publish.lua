-- Append one page of a request to its stream, exactly once and in order.
-- KEYS: stream, sequence of the stream, request hash, pages list, open requests, set of streams, counters of the exchange,
--       quarantine.
-- ARGV: id, fence, from ms, to ms, batch, lease ms, candles, gap slots, requests, long decimals, most entries,
--       quarantined rows, message of them ('' where there are none), most entries of the quarantine,
--       then pairs of a counter and how much to add to it.
-- A page covers [from, to): to at or below the checkpoint is a duplicate, from beyond it a gap: the server went back
-- in time and the worker must go on from the checkpoint.
-- Returns {'published', entry id}, {'duplicate', checkpoint}, {'gap', checkpoint}, {'fenced', attempt},
-- {'cancelled', attempt} or {'full', entries}.
local known = redis.call('HMGET', KEYS[3], 'attempt', 'state', 'next_ms', 'created_ms')
local fence = (known[1] or '0') .. '-' .. (known[4] or '0')
if fence ~= ARGV[2] or known[2] ~= 'running' then
  return {known[2] == 'cancelled' and 'cancelled' or 'fenced', tonumber(known[1] or '0')}
end
local checkpoint = tonumber(known[3] or '0')
if tonumber(ARGV[4]) <= checkpoint then return {'duplicate', checkpoint} end
if tonumber(ARGV[3]) ~= checkpoint then return {'gap', checkpoint} end
local entries = redis.call('XLEN', KEYS[1])
if entries >= tonumber(ARGV[11]) then return {'full', entries} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number = tonumber(redis.call('GET', KEYS[2]) or '0') + 1
-- XADD comes first: a server that refuses it for want of memory has changed nothing else.
local entry = redis.call('XADD', KEYS[1], '*', 's', string.format('%.0f', number), 'b', ARGV[5])
redis.call('SET', KEYS[2], string.format('%.0f', number))
redis.call('HSET', KEYS[3], 'next_ms', ARGV[4], 'stalls', 0, 'lease_until', now + ARGV[6])
redis.call('HINCRBY', KEYS[3], 'pages', 1)
redis.call('HINCRBY', KEYS[3], 'candles', ARGV[7])
redis.call('HINCRBY', KEYS[3], 'gap_slots', ARGV[8])
redis.call('HINCRBY', KEYS[3], 'requests', ARGV[9])
redis.call('HINCRBY', KEYS[3], 'long_decimals', ARGV[10])
if ARGV[13] ~= '' then
  redis.call('HINCRBY', KEYS[3], 'quarantined', ARGV[12])
  redis.pcall('XADD', KEYS[8], 'MAXLEN', '~', ARGV[14], '*', 'b', ARGV[13])
end
redis.call('RPUSH', KEYS[4], KEYS[1] .. ' ' .. entry)
redis.call('ZADD', KEYS[5], now + ARGV[6], ARGV[1])
redis.call('SADD', KEYS[6], KEYS[1])
-- pcall: whatever stands under the counters or the quarantine, the page is published.
for i = 15, #ARGV, 2 do redis.pcall('HINCRBY', KEYS[7], ARGV[i], ARGV[i + 1]) end
return {'published', entry}

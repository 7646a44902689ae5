-- Acknowledge what an alignment group has read, keep its state and write its rows, all or nothing.
-- KEYS: lease, state, aligned stream, sequence of it, then one candle stream for each acknowledgement.
-- ARGV: fence, consumer group, state, most entries, number of outputs, then per output: last open time, batch;
--       then one entry id for each acknowledgement.
-- Returns {'ok', outputs written} or {'fenced', fence}.
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence ~= ARGV[1] then return {'fenced', tonumber(fence or '0')} end
local outputs = tonumber(ARGV[5])
-- XACK comes first: it is accepted when memory has run out, and what follows it in a script then is, too.
for i = 5, #KEYS do redis.call('XACK', KEYS[i], ARGV[2], ARGV[5 + 2 * outputs + i - 4]) end
local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
local last = newest and tonumber(string.match(newest[1], '^%d+')) or -1
local written = 0
for i = 1, outputs do
  local open_time = ARGV[4 + 2 * i]
  -- Rows at or before the last one are there already; the id makes that a fact of the stream.
  if tonumber(open_time) > last then
    local number = redis.call('INCR', KEYS[4])
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], open_time .. '-1', 's', number, 'b', ARGV[5 + 2 * i])
    written = written + 1
  end
end
redis.call('SET', KEYS[2], ARGV[3])
return {'ok', written}

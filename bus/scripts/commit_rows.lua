-- Commit what an alignment group has read: acknowledgements, state, rows and all else it brought; all or nothing.
-- KEYS: lease, state, aligned stream, sequence of it, late stream, sequence of it, membership log,
--       then the candle streams, then their dead-letter streams.
-- ARGV: fence, number of the last commit, consumer group, state, number of candle streams,
--       most aligned entries, most late entries, most dead letters,
--       then five lists, each after the number of its members: rows (last open time, batch), late candles (message),
--       pieces of the membership log (piece), acknowledgements (number of a stream, entry id),
--       dead letters (number of a stream, letter).
-- A former owner has another fence. An owner whose server went back to an older copy counts another last commit.
-- Returns {'ok', rows' messages written}, {'fenced', fence} or {'stale', number of the last commit}.
local held = redis.call('HMGET', KEYS[1], 'fence', 'commit')
if held[1] ~= ARGV[1] then return {'fenced', tonumber(held[1] or '0')} end
if (held[2] or '0') ~= ARGV[2] then return {'stale', tonumber(held[2] or '0')} end
-- A write that needs no memory comes first: what follows it is then accepted even when memory has run out.
redis.call('HDEL', KEYS[1], 'none')

local at = 9
local function each(width, act)
  local last = at + tonumber(ARGV[at]) * width
  for i = at + 1, last, width do act(ARGV[i], ARGV[i + 1]) end
  at = last + 1
end

local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
local last = newest and tonumber(string.match(newest[1], '^%d+')) or -1
local before = newest and newest[1] or '0-0'
local written = 0
each(2, function(open_time, batch)
  -- Rows at or before the last one are there already; the id makes that a fact of the stream.
  if tonumber(open_time) <= last then return end
  local number = redis.call('INCR', KEYS[4])
  local id = open_time .. '-1'
  before = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], id, 's', number, 'b', batch, 'p', before)
  written = written + 1
end)
each(1, function(message)
  local number = redis.call('INCR', KEYS[6])
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[7], '*', 's', number, 'b', message)
end)
each(1, function(piece) redis.call('RPUSH', KEYS[7], piece) end)
each(2, function(stream, entry) redis.call('XACK', KEYS[7 + stream], ARGV[3], entry) end)
each(2, function(stream, letter)
  redis.call('XADD', KEYS[7 + ARGV[5] + stream], 'MAXLEN', '~', ARGV[8], '*', 'b', letter)
end)
redis.call('SET', KEYS[2], ARGV[4])
redis.call('HINCRBY', KEYS[1], 'commit', 1)
return {'ok', written}

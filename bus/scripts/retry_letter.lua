-- Put what a dead letter holds into its stream once more, and let go of the letter; both or neither.
-- KEYS: dead letters, stream, sequence of the stream, set of streams.
-- ARGV: batch, most entries, then the ids of the letters of this entry, that of the one to retry first.
-- Returns {'published', entry id}, {'gone', 0} or {'full', entries}.
if #redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3]) == 0 then return {'gone', 0} end
local entries = redis.call('XLEN', KEYS[2])
if entries >= tonumber(ARGV[2]) then return {'full', entries} end
local number = string.format('%.0f', tonumber(redis.call('GET', KEYS[3]) or '0') + 1)
-- The id of the entry before, trimmed or not: by it a reader that comes back sees that entries went meanwhile.
local function before()
  local about = redis.call('EXISTS', KEYS[2]) == 1 and redis.call('XINFO', 'STREAM', KEYS[2]) or {}
  for i = 1, #about, 2 do if about[i] == 'last-generated-id' then return about[i + 1] end end
  return '0-0'
end
local entry = redis.call('XADD', KEYS[2], '*', 's', number, 'b', ARGV[1], 'p', before())
redis.call('SET', KEYS[3], number)
redis.call('SADD', KEYS[4], KEYS[2])
for i = 3, #ARGV do redis.call('XDEL', KEYS[1], ARGV[i]) end
return {'published', entry}

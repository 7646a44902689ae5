-- Say which span of a scheduled series to ask for now, the same to all schedulers.
-- KEYS: what has arrived by series, what was asked for by series.
-- ARGV: series, where it begins if it was never scheduled (ms), end of what has closed (ms).
-- Returns {since, until}: what was asked for and has not arrived, else what has closed since; {} when there is nothing.
local arrived = redis.call('ZSCORE', KEYS[1], ARGV[1])
local asked = redis.call('HGET', KEYS[2], ARGV[1])
if asked then
  local from, to = string.match(asked, '^(%d+) (%d+)$')
  if not arrived or tonumber(from) == tonumber(arrived) then return {tonumber(from), tonumber(to)} end
end
local from = tonumber(arrived or ARGV[2])
if from >= tonumber(ARGV[3]) then return {} end
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f %s', from, ARGV[3]))
return {from, tonumber(ARGV[3])}

-- Leave an exchange alone for a while, unless a longer pause holds, and count its refusal; or only look, with 0 ms.
-- KEYS: pause, traffic, counters of the exchange. ARGV: ms, reason, refusals to count.
-- Returns {how long the pause lasts, ms; 0 where there is none, '<ms> ms: <reason>' of it or '', server's clock, ms}.
local refusals, time = tonumber(ARGV[3]), redis.call('TIME')
if refusals > 0 then
  local bucket = math.floor(time[1] / 10)
  redis.call('HINCRBY', KEYS[2], bucket .. ':refused', refusals)
  redis.call('EXPIRE', KEYS[2], 120)
  redis.pcall('HINCRBY', KEYS[3], 'refusals', refusals)
end
local wanted, left, value = tonumber(ARGV[1]), redis.call('PTTL', KEYS[1]), ''
if left > 0 then
  local found = redis.pcall('GET', KEYS[1])
  value = type(found) == 'string' and found or ''
  local given = tonumber(string.match(value, '^(%d+) ms: ') or '')
  if given and left > given then  -- longer than it was given: the clock was set back
    redis.call('PEXPIRE', KEYS[1], given)
    left = given
  end
end
if wanted > math.max(0, left) then
  value = ARGV[1] .. ' ms: ' .. ARGV[2]
  redis.call('SET', KEYS[1], value, 'PX', ARGV[1])
end
return {math.max(0, wanted, left), value, time[1] * 1000 + math.floor(time[2] / 1000)}

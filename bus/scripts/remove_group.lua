-- Forget an alignment group all at once: were it cut off in between, its consumer groups would hold the streams for ever,
-- and its aligner could make them anew while the definition stands.
-- KEYS: set of groups, the candle streams that it may read, then what is deleted.
-- ARGV: name, consumer group, number of streams. Returns how many of all that there were.
local found = redis.call('SREM', KEYS[1], ARGV[1])
for i = 2, 1 + ARGV[3] do
  local destroyed = redis.pcall('XGROUP', 'DESTROY', KEYS[i], ARGV[2])
  -- What is gone, or is no stream, has no consumer group.
  if type(destroyed) == 'number' then found = found + destroyed end
end
for i = 2 + ARGV[3], #KEYS do found = found + redis.call('DEL', KEYS[i]) end
return found

-- Let go of alignment groups that are ours. KEYS: a lease for each group. ARGV: owner. Returns how many were.
local released = 0
for i = 1, #KEYS do
  if redis.call('HGET', KEYS[i], 'owner') == ARGV[1] then
    redis.call('HSET', KEYS[i], 'until', 0)
    released = released + 1
  end
end
return released

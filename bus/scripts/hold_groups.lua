-- Keep the alignment groups that are ours, and take free ones, at most so many.
-- KEYS: set of groups, then a lease for each name. ARGV: owner, lease ms, most to take, then the names.
-- Counts how often in a row a group was taken that nobody had let go of, each time within a minute: something in it may
-- be what ends its owners.
-- The fence rises whenever the owner changes, so that a former owner's commits are refused. The first one is the time in
-- microseconds: a group that was removed and added again shares no fence with its former life, whose owner may wake yet.
-- Returns for each name the fence, or 0 where the group is somebody else's, is gone, or was one too many.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local room = tonumber(ARGV[3])
local fences = {}
-- A write that needs no memory comes first: holders keep their groups, and drain them, when memory has run out.
if KEYS[2] then redis.pcall('HDEL', KEYS[2], 'none') end
for i = 2, #KEYS do
  -- A lease that is none, or holds what is no number, is nobody's to take: it must not cost the other groups theirs.
  local held = redis.pcall('HMGET', KEYS[i], 'owner', 'until', 'fence', 'taken', 'ended')
  local ends = not held.err and tonumber(held[2] or '0')
  -- Longer than anybody is given: the clock was set back, or it is nobody's.
  local is_over = ends and (ends <= now or ends > now + 2 * ARGV[2])
  local fence = 0
  if ends and held[1] == ARGV[1] and ends > 0 then
    fence = tonumber(held[3]) or 0
  elseif room > 0 and is_over and redis.call('SISMEMBER', KEYS[1], ARGV[2 + i]) == 1 then
    if not held[3] then redis.call('HSET', KEYS[i], 'fence', time[1] * 1000000 + time[2]) end
    local raised = redis.pcall('HINCRBY', KEYS[i], 'fence', 1)
    fence = type(raised) == 'number' and raised or 0
    room = room - math.min(fence, 1)
  end
  if fence > 0 and tonumber(ARGV[3]) > 0 then
    local ended = 0
    if ends > 0 then
      ended = now - (tonumber(held[4]) or 0) <= 60000 and (tonumber(held[5]) or 0) + 1 or 1
    end
    redis.call('HSET', KEYS[i], 'taken', now, 'ended', ended)
  end
  if fence > 0 then redis.call('HSET', KEYS[i], 'owner', ARGV[1], 'until', now + ARGV[2]) end
  fences[i - 1] = fence
end
return fences

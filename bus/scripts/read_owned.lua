-- Read of an alignment group's streams, through its consumer group, what is new or pending; nothing for a former owner.
-- KEYS: lease, then the streams. ARGV: fence, consumer group, consumer, most entries a stream, then an id for each stream.
-- What is delivered to a former owner is pending from then on, and its successor has looked at what is pending already:
-- rows would wait for it until the group is taken again.
-- Returns the fence where it is another one, else what XREADGROUP returns.
local held = redis.call('HGET', KEYS[1], 'fence') or '0'
if held ~= ARGV[1] then return tonumber(held) or 0 end
local read = {'XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS'}
for i = 2, #KEYS do read[#read + 1] = KEYS[i] end
for i = 5, #ARGV do read[#read + 1] = ARGV[i] end
return redis.call(unpack(read))

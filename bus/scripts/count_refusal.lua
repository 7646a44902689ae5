-- Note on a request's record that the exchange refused it; a record that has run out is not begun anew by that.
-- KEYS: request hash.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HINCRBY', KEYS[1], 'refusals', 1)

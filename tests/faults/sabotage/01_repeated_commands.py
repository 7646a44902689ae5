"""The library repeats every command whose reply was lost, and a page that is sent again is not recognised."""

# ruff: noqa: E402
import redis.backoff
import redis.retry

import bus.connection

# What bus.connection asks for is what the library does by default.
bus.connection.NoBackoff = lambda: redis.backoff.ExponentialWithJitterBackoff(base=1, cap=10)  # type: ignore[misc, assignment]
bus.connection.Retry = lambda backoff, _: redis.retry.Retry(backoff, 10)  # type: ignore[misc, assignment]

from edit_script import edit_script

edit_script("publish", "if tonumber(ARGV[4]) <= checkpoint then return {'duplicate', checkpoint} end", "")
edit_script("publish", "if tonumber(ARGV[3]) ~= checkpoint then return {'gap', checkpoint} end", "")

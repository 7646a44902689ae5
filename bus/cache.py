"""Values under TTL keys, loaded by one process at a time."""

import secrets
from collections.abc import Callable
from typing import Final, TypeVar

from redis import Redis

from bus import keys
from bus.clock import Clock
from bus.codec import decode, encode
from bus.errors import BusUnavailable, DecodeError
from bus.messages import ClockOffset, ContractMap
from bus.scripts import Script

Cached = TypeVar("Cached", ContractMap, ClockOffset)

#: Longer than one load takes with its retries; a loader that died is replaced after it.
LOAD_LEASE_MS: Final = 60_000
_POLL_S: Final = 0.05


class Cache:
    """Shared values on the server; at most one process loads a missing one."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._release = Script(redis, "release_load")

    def get(self, key: str, kind: type[Cached]) -> Cached | None:
        """The value, or None when it is missing, expired or of another version."""
        body = self._redis.get(key)
        if body is None:
            return None
        try:
            return decode(body, kind)  # type: ignore[arg-type]
        except DecodeError:
            return None  # written by another version; loading it anew replaces it

    def put(self, key: str, value: Cached, ttl_ms: int | None) -> None:
        """Keep the value for ``ttl_ms``; for good where None."""
        self._redis.set(key, encode(value), px=ttl_ms)

    def get_or_load(self, key: str, kind: type[Cached], ttl_ms: int, load: Callable[[], Cached]) -> Cached:
        """The value; where it is missing, one caller loads it and the others wait for that.

        Raises:
            BusUnavailable: Nobody loaded it within the lease.
            CandleBusError: Whatever ``load`` raises, in the caller that loads.
        """
        for _ in range(int(LOAD_LEASE_MS / 1000 / _POLL_S) + 1):
            found = self.get(key, kind)
            if found is not None:
                return found
            token = secrets.token_hex(8)
            if self._redis.set(keys.load_lease(key), token, nx=True, px=LOAD_LEASE_MS):
                return self._load(key, kind, token, ttl_ms, load)
            self._clock.sleep(_POLL_S)
        raise BusUnavailable(f"nobody loaded {key} within {LOAD_LEASE_MS // 1000} s")

    def _load(self, key: str, kind: type[Cached], token: str, ttl_ms: int, load: Callable[[], Cached]) -> Cached:
        try:
            # Another loader may have finished between our look and our lease.
            found = self.get(key, kind)
            if found is not None:
                return found
            value = load()
            self.put(key, value, ttl_ms)
            return value
        finally:
            self._release([keys.load_lease(key)], [token])

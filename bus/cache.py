"""Values under TTL keys, loaded by one process at a time."""

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

from redis import Redis, RedisError

from bus import keys
from bus.clock import Clock
from bus.codec import decode, encode
from bus.errors import BusUnavailable, DecodeError
from bus.messages import ClockOffset, ContractMap
from bus.scripts import Script

Cached = TypeVar("Cached", ContractMap, ClockOffset)

_log = logging.getLogger(__name__)

#: A loader that does not renew its right for so long is replaced: it died, or hangs.
LOAD_LEASE_MS: Final = 10_000
#: Longer than one load takes with its retries.
_LONGEST_LOAD_MS: Final = 60_000
_POLL_S: Final = 0.05


def always(_value: object) -> bool:
    """Every value that is there will do."""
    return True


def nothing() -> None:
    """There is nothing to use meanwhile."""


class Values(Protocol):
    """Where values are kept for a time and loaded once: on the server, or within one process."""

    def get(self, key: str, kind: type[Cached]) -> Cached | None:
        """The value, or None when it is missing, expired or of another version."""
        ...

    def put(self, key: str, value: Cached, ttl_ms: int | None) -> None:
        """Keep the value for ``ttl_ms``; for good where None."""
        ...

    def get_or_load(
        self,
        key: str,
        kind: type[Cached],
        ttl_ms: int | Callable[[Cached], int],
        load: Callable[[], Cached],
        *,
        is_fresh: Callable[[Cached], bool] = always,
        meanwhile: Callable[[], Cached | None] = nothing,
    ) -> Cached:
        """The value; where it is missing or not fresh, one caller loads it.

        Args:
            ttl_ms: How long to keep what was loaded, ms, or a function that says so.
            is_fresh: Whether a value that is there will do.
            meanwhile: What the other callers use while one loads; they wait where it gives None.

        Raises:
            BusUnavailable: Nobody loaded it within a minute.
            CandleBusError: Whatever ``load`` raises, in the caller that loads.
        """
        ...


class Cache:
    """Shared values on the server; at most one process loads a missing one."""

    def __init__(self, redis: Redis, clock: Clock, *, lease_ms: int = LOAD_LEASE_MS) -> None:
        """Keep values on the server of ``redis``.

        Args:
            lease_ms: How long a loader has the sole right to load unless it renews it, as one that lives does; its
                value is refused when the right has run out.
        """
        self._redis = redis
        self._clock = clock
        self._lease_ms = lease_ms
        self._take = Script(redis, "take_load")
        self._renew = Script(redis, "renew_load")
        self._release = Script(redis, "release_load")
        self._store = Script(redis, "store_load")

    def get(self, key: str, kind: type[Cached]) -> Cached | None:
        body = self._redis.get(key)
        if body is None:
            return None
        try:
            return decode(body, kind)  # type: ignore[arg-type]
        except DecodeError:
            return None  # written by another version; loading it anew replaces it

    def put(self, key: str, value: Cached, ttl_ms: int | None) -> None:
        self._redis.set(key, encode(value), px=ttl_ms)

    def get_or_load(
        self,
        key: str,
        kind: type[Cached],
        ttl_ms: int | Callable[[Cached], int],
        load: Callable[[], Cached],
        *,
        is_fresh: Callable[[Cached], bool] = always,
        meanwhile: Callable[[], Cached | None] = nothing,
    ) -> Cached:
        for _ in range(int(max(self._lease_ms, _LONGEST_LOAD_MS) / 1000 / _POLL_S) + 2):
            found = self._found(key, kind, is_fresh)
            if found is not None:
                return found
            token = secrets.token_hex(8)
            if self._take([keys.load_lease(key)], [token, self._lease_ms]):
                return self._load(key, kind, token, ttl_ms, load, is_fresh)
            other = meanwhile()
            if other is not None:
                return other
            self._clock.sleep(_POLL_S)
        raise BusUnavailable(f"nobody loaded {key} within {max(self._lease_ms, _LONGEST_LOAD_MS) // 1000} s")

    def _found(self, key: str, kind: type[Cached], is_fresh: Callable[[Cached], bool]) -> Cached | None:
        found = self.get(key, kind)
        return found if found is not None and is_fresh(found) else None

    def _load(
        self,
        key: str,
        kind: type[Cached],
        token: str,
        ttl_ms: int | Callable[[Cached], int],
        load: Callable[[], Cached],
        is_fresh: Callable[[Cached], bool],
    ) -> Cached:
        try:
            # Another loader may have finished between our look and our lease.
            found = self._found(key, kind, is_fresh)
            if found is not None:
                return found
            with self._held(keys.load_lease(key), token):
                value = load()
            ttl = ttl_ms(value) if callable(ttl_ms) else ttl_ms
            # Refused where the lease has run out: another loader's value is newer than ours.
            self._store([keys.load_lease(key), key], [token, encode(value), ttl])
            return value
        finally:
            self._release([keys.load_lease(key)], [token])

    @contextmanager
    def _held(self, lease: str, token: str) -> Iterator[None]:
        """Renew the right to load from a thread of its own, however long the exchange takes."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(self._lease_ms / 4_000):
                try:
                    if not self._renew([lease], [token, self._lease_ms]):
                        return  # it has passed to another: what we bring is refused
                except RedisError as error:
                    _log.warning("right to load not renewed", extra={"lease": lease, "cause": str(error)})

        thread = threading.Thread(target=renew, name=f"load {lease}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

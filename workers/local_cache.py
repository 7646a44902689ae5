"""Values under TTL keys within one process: what a client without a bus uses in the server's place."""

import threading
from collections.abc import Callable

from bus.cache import Cached, always, nothing
from bus.clock import Clock


class LocalCache:
    """Keeps values in memory; may be used from several threads, of which one at a time loads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: dict[str, tuple[float, object]] = {}
        # One lock for all keys: what a load needs of another key, the same thread may load.
        self._loading = threading.RLock()

    def get(self, key: str, kind: type[Cached]) -> Cached | None:
        until_ms, value = self._values.get(key, (0.0, None))
        return value if isinstance(value, kind) and self._clock.now_ms() < until_ms else None

    def put(self, key: str, value: Cached, ttl_ms: int | None) -> None:
        self._values[key] = (float("inf") if ttl_ms is None else self._clock.now_ms() + ttl_ms, value)

    def get_or_load(
        self,
        key: str,
        kind: type[Cached],
        ttl_ms: int | Callable[[Cached], int],
        load: Callable[[], Cached],
        *,
        is_fresh: Callable[[Cached], bool] = always,
        meanwhile: Callable[[], Cached | None] = nothing,  # noqa: ARG002 - here the others wait, which is shorter
    ) -> Cached:
        with self._loading:
            found = self.get(key, kind)
            if found is not None and is_fresh(found):
                return found
            value = load()
            self.put(key, value, ttl_ms(value) if callable(ttl_ms) else ttl_ms)
            return value

"""Keys on the server by how their names begin."""

from collections.abc import Iterator
from typing import Any, Final

from redis import Redis

_AT_ONCE: Final = 500


def names_under(redis: Redis, prefix: str) -> Iterator[str]:
    """What comes after the prefix in the names of the keys that begin with it; one may come twice."""
    pattern = "".join(f"\\{c}" if c in "*?[]\\" else c for c in prefix) + "*"
    found: Any = redis.scan_iter(match=pattern, count=_AT_ONCE)
    for name in found:
        yield name.decode(errors="replace").removeprefix(prefix)

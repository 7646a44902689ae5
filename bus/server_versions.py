"""What is known of server versions: which one runs, and which faults of it were mended when."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Version = tuple[int, ...]

OLDEST: Final[Version] = (7, 0)


class Product(NamedTuple):
    """A server program and its version."""

    name: str
    version: Version

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"


class Hole(NamedTuple):
    """A way in for whoever may send commands.

    Attributes:
        mended: Branch → its first release without the hole. A branch that is not named has none below ``from_then_on``.
        since: First version that has it.
        from_then_on: First version of all from which on none has it.
    """

    name: str
    mended: Mapping[Version, Version]
    from_then_on: Version
    since: Version = (0,)


#: As the projects' release notes and advisories name them. A distribution may have mended an older number.
_HOLES: Final[dict[str, tuple[Hole, ...]]] = {
    "Redis": (
        Hole(
            "CVE-2025-49844 (code by a Lua script)",
            {(7, 2): (7, 2, 11), (7, 4): (7, 4, 6), (8, 0): (8, 0, 4)},
            (8, 2, 2),
        ),
        Hole("CVE-2026-23479 (code by a blocked client)", {}, (8, 6, 3), since=(7, 2)),
    ),
    "Valkey": (
        Hole("CVE-2025-49844 (code by a Lua script)", {(7, 2): (7, 2, 11), (8, 0): (8, 0, 6)}, (8, 1, 4)),
        Hole(
            "CVE-2026-63639 (code by a corrupt file or RESTORE)",
            {(8, 1): (8, 1, 9), (9, 0): (9, 0, 5)},
            (9, 1, 1),
            since=(8, 1),
        ),
    ),
}
#: Valkey pull request 4342: a torn block of a file is cut off whole. No such release of Redis is known.
_MENDED_TORN_BLOCKS: Final = Hole("torn blocks", {(8, 0): (8, 0, 11), (8, 1): (8, 1, 10)}, (9, 1, 2))


def product_of(info: Mapping[str, Any]) -> Product:
    """The server that answered ``INFO`` so; Valkey tells its own version beside the Redis version it stands in for."""
    if info.get("server_name") == "valkey":
        return Product("Valkey", _version(info.get("valkey_version")))
    return Product("Redis", _version(info.get("redis_version")))


def is_too_old(product: Product) -> bool:
    """Whether the server lacks commands that the bus needs."""
    return product.version < OLDEST


def known_holes(product: Product) -> list[str]:
    """Names of the holes that the version is listed with."""
    return [hole.name for hole in _HOLES.get(product.name, ()) if _has(product.version, hole)]


def cuts_torn_blocks_whole(product: Product) -> bool:
    """Whether the server's own repair of a torn file is right."""
    return product.name == "Valkey" and not _has(product.version, _MENDED_TORN_BLOCKS)


def _has(version: Version, hole: Hole) -> bool:
    if version < hole.since:
        return False
    return version < hole.mended.get(version[:2], hole.from_then_on)


def _version(text: object) -> Version:
    parts = str(text or "0").split(".")[:3]
    return tuple(int(part) for part in parts if part.isdigit()) or (0,)

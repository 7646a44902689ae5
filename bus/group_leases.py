"""Who aligns which group: leases on the server's clock, shared out evenly among the aligner processes that live."""

from collections.abc import Sequence
from typing import Any, Final

from redis import Redis

from bus import keys
from bus.living import aligners
from bus.scripts import Script

#: An aligner that does not renew its ownership for so long has lost it.
GROUP_LEASE_MS: Final = 7_000
#: Leases that one script call looks at, so that the server is never busy with one for more than about a millisecond.
_AT_ONCE: Final = 250


class GroupLeases:
    """The leases of one aligner process."""

    def __init__(self, redis: Redis, owner: str) -> None:
        """Nothing is held yet.

        Args:
            owner: Name of the process, unlike any other's.
        """
        self._redis = redis
        self._owner = owner
        self._hold = Script(redis, "hold_groups")
        self._release = Script(redis, "release_groups")
        self._roll = aligners(redis)

    def join(self) -> int:
        """Say that this process lives; how many do."""
        return self._roll.join(self._owner, GROUP_LEASE_MS)

    def leave(self, held: Sequence[str]) -> None:
        """Let go of everything, so that others take it at once."""
        self._roll.leave(self._owner)
        self.release(held)

    def renew(self, names: Sequence[str]) -> dict[str, int]:
        """Keep the groups for another lease; name → fence of those that are still ours."""
        return self._held(names, 0)

    def take(self, names: Sequence[str], most: int) -> dict[str, int]:
        """Take at most so many of the groups that are free; name → fence."""
        return self._held(names, most)

    def _held(self, names: Sequence[str], most: int) -> dict[str, int]:
        held: dict[str, int] = {}
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            leases = [keys.groups(), *map(keys.group_lease, part)]
            fences: Any = self._hold(leases, [self._owner, GROUP_LEASE_MS, max(0, most - len(held)), *part])
            held |= {name: int(fence) for name, fence in zip(part, fences, strict=True) if fence}
        return held

    def release(self, names: Sequence[str]) -> None:
        """Let go of groups; those that have passed to somebody else stay as they are."""
        for start in range(0, len(names), _AT_ONCE):
            self._release([keys.group_lease(name) for name in names[start : start + _AT_ONCE]], [self._owner])


def fair_share(groups: int, processes: int) -> int:
    """The most groups that one of so many processes takes."""
    return -(-groups // max(1, processes))

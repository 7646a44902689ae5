"""Notes on the server which entry is taken, after aligners died or failed of a group one after the other."""

from typing import Any, Final

from redis import Redis

from bus import keys

#: After so many owners in a row that ended, or failed, soon after they had taken the group, the next one is careful.
CAREFUL_FROM: Final = 2
#: So many attempts to take an entry are made; then it is set aside.
MOST_TRIES: Final = 5


class Caution:
    """The count of failed attempts to take each entry of a group, on the server: it must outlive whoever dies of one.

    Redis counts deliveries too, but that count is not in the append-only file when an entry is read again.
    """

    def __init__(self, redis: Redis, group: str) -> None:
        self._redis = redis
        self._key = keys.group_tries(group)
        self._under_way = ""

    def may_take(self, stream: str, entry_id: str) -> bool:
        """Notes that the entry is about to be taken, and that the one before it was; False once it failed too often."""
        entry = f"{stream} {entry_id}"
        with self._redis.pipeline(transaction=True) as pipeline:
            if self._under_way:
                pipeline.hincrby(self._key, self._under_way, -1)
            pipeline.hincrby(self._key, entry, 1)
            answers: list[Any] = pipeline.execute()
        may = int(answers[-1]) <= MOST_TRIES
        self._under_way = entry if may else ""
        return may

    def end(self) -> None:
        """Every entry that there is was taken."""
        self._redis.delete(self._key)

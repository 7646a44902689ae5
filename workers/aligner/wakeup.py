"""Waits for any of many streams to grow, and says whose groups have something to read."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis import Redis

from workers.aligner.portions import portions


class Wakeup:
    """The streams of the groups that a process holds."""

    def __init__(self, redis: Redis) -> None:
        """No group's streams yet."""
        self._redis = redis
        self._groups: dict[str, set[str]] = {}  # stream → groups
        self._read_ids: dict[str, str] = {}
        self._is_quiet = False  # whether nothing grew while the last call waited

    def add(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Watch the streams of these groups: name → streams. What they hold by now is not announced any more."""
        new = {stream for streams in groups.values() for stream in streams} - self._groups.keys()
        for name, streams in groups.items():
            for stream in streams:
                self._groups.setdefault(stream, set()).add(name)
        self._read_ids |= self._newest(sorted(new))

    def _newest(self, streams: Sequence[str]) -> dict[str, str]:
        newest: dict[str, str] = {}
        for part in portions(streams):
            with self._redis.pipeline(transaction=False) as pipeline:
                for stream in part:
                    pipeline.xrevrange(stream, count=1)
                answers: list[Any] = pipeline.execute(raise_on_error=False)
            # Of a key that is no stream nothing is heard: it would spoil the read of all others.
            found = [(stream, said) for stream, said in zip(part, answers, strict=True) if isinstance(said, list)]
            newest |= {stream: said[0][0].decode() if said else "0-0" for stream, said in found}
        return newest

    def remove(self, names: Iterable[str]) -> None:
        """Watch the streams of these groups no more."""
        gone = set(names)
        for stream, groups in list(self._groups.items()):
            groups -= gone
            if not groups:
                del self._groups[stream]
                self._read_ids.pop(stream, None)

    def seen(self, read_ids: Mapping[str, str]) -> None:
        """These entries were read; what comes after them is announced."""
        for stream, entry_id in read_ids.items():
            if stream in self._read_ids and _order(entry_id) > _order(self._read_ids[stream]):
                self._read_ids[stream] = entry_id

    def wait(self, block_ms: int | None) -> list[str]:
        """The groups whose streams grew, in the order in which to read them; empty where none did.

        Args:
            block_ms: How long to wait for one to grow, ms; None to look only.
        """
        if not self._read_ids:
            time.sleep((block_ms or 0) / 1000)
            return []
        parts = list(portions(list(self._read_ids)))
        if len(parts) == 1:
            return self._grown(parts[0], block_ms)
        # A read brings an entry of each stream that grew. Once none has, one that waits brings those of a moment.
        was_quiet, self._is_quiet = self._is_quiet, False
        if block_ms is None or not was_quiet:
            found = dict.fromkeys(name for part in parts for name in self._grown(part, None))
            if found or block_ms is None:
                return list(found)
        grown = self._grown(list(self._read_ids), block_ms)
        self._is_quiet = not grown
        return grown

    def _grown(self, streams: Sequence[str], block_ms: int | None) -> list[str]:
        wanted: Any = {stream: self._read_ids[stream] for stream in streams}
        answer: Any = self._redis.xread(wanted, count=1, block=block_ms)
        grown = answer.items() if isinstance(answer, dict) else answer or []
        found: dict[str, None] = {}
        for stream, entries in grown:
            newest = (entries[0] if isinstance(answer, dict) else entries)[-1][0].decode()
            self._read_ids[stream.decode()] = newest
            found |= dict.fromkeys(sorted(self._groups[stream.decode()]))
        return list(found)


def _order(entry_id: str) -> tuple[int, int]:
    at_ms, _, number = entry_id.partition("-")
    return int(at_ms), int(number or 0)

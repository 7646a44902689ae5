"""What the raw streams of a group say of its candles, as far as its aligner had read them at its last commit."""

from collections.abc import Iterator
from typing import Any

import msgspec
from redis import Redis

from bus import keys
from bus.alignment import AlignedRow
from bus.audit.reading import entries, head_of, order, set_aside_ids
from bus.audit.shelf import Place, Shelf
from bus.codec import candles_of, decode, numbers
from bus.errors import DecodeError
from bus.group_state import Restored, streams_of
from bus.messages import Candle, CandleBatch, Group, LateCandles
from bus.timeframes import timeframe

#: What the entries of a stream tell of its open times: the candles, None for one that tells that there is none.
Told = dict[int, set[Candle | None]]
#: series, candle → the version under which it first came too late; it does so under every later one.
Late = dict[tuple[str, Candle], int]


class Window(msgspec.Struct):
    """The candles of a stretch of the timeline.

    Attributes:
        candles: Series → its candles, of each open time the one with the greatest version.
        told: Series → open time → all that its entries tell of it, but for what came too late.
        was_trimmed: The series of whose streams entries are gone.
    """

    candles: dict[str, list[Candle]]
    told: dict[str, Told]
    was_trimmed: set[str]

    def is_doubtful(self, at_ms: int, row: AlignedRow | None) -> bool:
        """Whether a row of that instant, ms, or its absence may be right, though it is not what is expected.

        Which of two versions the aligner used depends on which it had read first; that is told as late, but for what
        is older than all that it remembers. And an entry that is gone may have held a candle that no other one has.
        """
        if not any(self._is_open(name, at_ms) for name in self.told):
            return False
        return row is None or all(
            candle in self.told[name].get(at_ms, ()) or self._is_gone(name, at_ms)
            for name, candle in row.candles.items()
        )

    def _is_open(self, name: str, at_ms: int) -> bool:
        return len(self.told[name].get(at_ms, ())) > 1 or self._is_gone(name, at_ms)

    def _is_gone(self, name: str, at_ms: int) -> bool:
        return name in self.was_trimmed and not self.told[name].get(at_ms, set()) - {None}


class Evidence:
    """The candle streams and the late stream of a group."""

    def __init__(self, redis: Redis, group: Group, found: Restored) -> None:
        """Look through the streams; bodies are read window by window."""
        self._streams, self._frame = streams_of(group), timeframe(group.timeframe)
        self._set_aside = {name: set_aside_ids(redis, stream) for name, stream in self._streams.items()}
        self.was_trimmed = {name for name, stream in self._streams.items() if _first_number(redis, stream) != b"1"}
        self._shelves = {
            name: Shelf(redis, stream, CandleBatch, list(_batches(redis, stream, progress.read_id)))
            for (name, stream), progress in zip(self._streams.items(), found.progress, strict=True)
        }
        late = keys.late(group.name)
        self._late = Shelf(redis, late, LateCandles, list(_late_places(redis, late)))

    def window(self, from_ms: int, to_ms: int) -> Window:
        """What is known of ``[from_ms, to_ms)``."""
        late: Late = {}
        for _, message in self._late.within(from_ms, to_ms):
            for candle in candles_of(message):
                key = (message.source, candle)
                late[key] = min(message.version, late.get(key, message.version))
        found = Window({}, {}, self.was_trimmed)
        for name in self._streams:
            found.candles[name], found.told[name] = self._candles(name, from_ms, to_ms, late)
        return found

    def _candles(self, name: str, from_ms: int, to_ms: int, late: Late) -> tuple[list[Candle], Told]:
        """The candles of a series that hold, and all that its entries tell."""
        kept: dict[int, tuple[int, Candle]] = {}
        told: Told = {}
        for entry_id, batch in self._shelves[name].within(from_ms, to_ms):
            candles = {candle.open_time: candle for candle in candles_of(batch)}
            for at_ms in self._frame.open_times(max(from_ms, batch.since), min(to_ms, batch.until)):
                candle = candles.get(at_ms)
                if candle is not None and batch.version >= late.get((name, candle), batch.version + 1):
                    continue
                told.setdefault(at_ms, set()).add(candle)
                if entry_id in self._set_aside[name]:
                    told[at_ms].add(None)
                if candle is not None:
                    kept[at_ms] = max(kept.get(at_ms, (batch.version, candle)), (batch.version, candle))
        return [candle for _, candle in kept.values()], told


def _first_number(redis: Redis, stream: str) -> bytes:
    first: Any = redis.xrange(stream, count=1)
    if not first:
        return b"1" if not redis.exists(keys.sequence(stream)) else b"0"
    return bytes(first[0][1].get(b"s", b"0"))


def _batches(redis: Redis, stream: str, read_id: str) -> Iterator[Place]:
    """Where the batches are that the aligner has read."""
    if order(read_id) == (0, 0):
        return
    for entry_id, fields in entries(redis, stream, end=read_id):
        head = head_of(fields)
        if head is not None:
            yield Place(entry_id, head.since, head.until)


def _late_places(redis: Redis, stream: str) -> Iterator[Place]:
    for entry_id, fields in entries(redis, stream):
        try:
            message = decode(fields.get(b"b", b""), LateCandles)
        except DecodeError:
            continue
        times = numbers("q", message.t)
        if times:
            yield Place(entry_id, min(times), max(times) + 1)

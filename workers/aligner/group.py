"""One alignment group: read what its streams hold, align it, commit rows, state and acknowledgements in one step."""

import logging
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis import Redis

from bus import keys
from bus.alignment import AlignedRow
from bus.codec import candles_of, column, columns, decode, encode
from bus.deadletters import set_aside
from bus.errors import CandleBusError, Fenced
from bus.groups import GroupBook, GroupState, streams_of
from bus.messages import AlignedBatch, AlignedSource, CandleBatch, Group
from bus.scripts import Argument, Script
from bus.streams import Entry

_log = logging.getLogger(__name__)

#: The consumer of every group: its owner, whoever that is, goes on with what the former owner had read.
CONSUMER: Final = "aligner"
_READ_COUNT: Final = 20
_ROWS_AN_ENTRY: Final = 500
#: A source with so many candles waiting is not read further until the others come nearer.
_MOST_PENDING: Final = 50_000


class GroupAligner:
    """Aligns one group for as long as its fence holds."""

    def __init__(self, redis: Redis, group: Group, fence: int) -> None:
        """Take up the group where its last commit left it."""
        self._redis = redis
        self.group = group
        self._fence = fence
        self._commit = Script(redis, "commit_rows")
        self._streams = streams_of(group)
        self._series = {stream: name for name, stream in self._streams.items()}
        self._aligner, self._rows = GroupBook(redis).state(group)
        self._unacknowledged = True

    @property
    def streams(self) -> list[str]:
        """The candle streams of the group."""
        return list(self._series)

    def step(self) -> bool:
        """Read and commit once; whether there was anything to read.

        What was delivered before and never committed comes first: a former owner may have died over it.

        Raises:
            Fenced: Another aligner owns the group now.
        """
        entries = self._read("0" if self._unacknowledged else ">")
        if not entries:
            had_leftovers, self._unacknowledged = self._unacknowledged, False
            return had_leftovers
        for stream, entry_id, raw in entries:
            self._take(stream, entry_id, raw)
        self._write(self._aligner.poll(), entries)
        return True

    def _read(self, after: str) -> list[tuple[str, str, dict[bytes, bytes]]]:
        near = (one for name, one in self._streams.items() if self._aligner.pending(name) < _MOST_PENDING)
        wanted: Any = dict.fromkeys(near, after)
        name = keys.align_consumer_group(self.group.name)
        answer: Any = self._redis.xreadgroup(name, CONSUMER, wanted, count=_READ_COUNT) if wanted else None
        lists = answer.items() if isinstance(answer, dict) else answer or []
        return [
            (stream.decode(), entry_id.decode(), fields or {})
            for stream, found in lists
            for entry_id, fields in (found[0] if isinstance(answer, dict) else found)
        ]

    def _take(self, stream: str, entry_id: str, fields: dict[bytes, bytes]) -> None:
        """Give the aligner what an entry holds; an entry that is not ours is set aside."""
        try:
            batch = decode(Entry.of(stream, (entry_id.encode(), fields)).body, CandleBatch)
            self._aligner.push(self._series[stream], batch.version, batch.since, batch.until, candles_of(batch))
        except CandleBusError as error:
            set_aside(self._redis, stream, entry_id, fields.get(b"b", b""), str(error))
            _log.warning("entry set aside", extra={"stream": stream, "entry_id": entry_id, "cause": str(error)})
        for late in self._aligner.take_late():
            _log.warning("late candle", extra={"series": late.source, "open_time": late.candle.open_time})

    def _write(self, rows: Sequence[AlignedRow], entries: Sequence[tuple[str, str, dict[bytes, bytes]]]) -> None:
        name = self.group.name
        self._rows += len(rows)
        chunks = [rows[start : start + _ROWS_AN_ENTRY] for start in range(0, len(rows), _ROWS_AN_ENTRY)]
        outputs: list[Argument] = []
        for chunk in chunks:
            outputs += [chunk[-1].open_time, encode(aligned_batch(self.group, chunk))]
        names = [keys.group_lease(name), keys.group_state(name), keys.aligned(name), keys.sequence(keys.aligned(name))]
        state = msgspec.msgpack.encode(GroupState(aligner=self._aligner.state(), rows=self._rows))
        head: list[Argument] = [self._fence, keys.align_consumer_group(name), state, keys.ALIGNED_MAX_ENTRIES]
        args = [*head, len(chunks), *outputs, *(entry_id for _, entry_id, _ in entries)]
        outcome, detail = self._commit([*names, *(stream for stream, _, _ in entries)], args)
        if outcome != b"ok":
            raise Fenced(f"group {name} has passed to another aligner (fence {int(detail)}, ours {self._fence})")


def aligned_batch(group: Group, rows: Sequence[AlignedRow]) -> AlignedBatch:
    """Rows of a group as one message.

    Args:
        rows: At least one, earliest first.
    """
    sources = {name: AlignedSource(**columns([row.candles[name] for row in rows])) for name in group.series}
    return AlignedBatch(
        group=group.name,
        timeframe=group.timeframe,
        sources=sources,
        n=len(rows),
        t=column("q", [row.open_time for row in rows]),
        spread=column("q", [row.spread_ms for row in rows]),
    )

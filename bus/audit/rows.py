"""P6: the rows of a group are those that the batch alignment makes of the raw streams, each once and in order."""

from collections.abc import Iterator
from typing import Any, Final

from redis import Redis

from bus import keys
from bus.alignment import AlignedRow
from bus.audit.evidence import Evidence
from bus.audit.reading import Fields, entries
from bus.audit.report import Checked, Violation
from bus.codec import decode, numbers, rows_of
from bus.errors import DecodeError
from bus.group_state import Restored, restored
from bus.group_status import members_of
from bus.membership import align_pieces
from bus.messages import AlignedBatch, Group
from bus.streams import Entry
from bus.timeframes import timeframe

#: Slots of the timeline that are in memory at once.
_WINDOW: Final = 2_048

Rows = dict[int, tuple[str, AlignedRow]]  # open time → entry id, row


def rows(redis: Redis, group: Group, checked: Checked) -> Iterator[Violation]:
    """Whether a group's rows up to its last commit are those of the batch form.

    What the aligner knew at that commit is decided by its own state: the last entry read of each stream. Candles that
    it told as late are left out.
    """
    checked["groups"] += 1
    found = restored(redis, [group])[0]
    if isinstance(found, DecodeError):
        yield _wrong(group, "a state that can be read", str(found))
        return
    yield from _in_order(redis, group, checked)
    begins, ends = _span(redis, group, found)
    evidence = Evidence(redis, group, found)
    log = members_of(redis, group, found)
    step_ms = timeframe(group.timeframe).duration_ms
    for from_ms in range(begins, ends, _WINDOW * step_ms):
        to_ms = min(ends, from_ms + _WINDOW * step_ms)
        window = evidence.window(from_ms, to_ms)
        expected = align_pieces(window.candles, group.tolerance_ms, step_ms, log, group.min_sources)
        by_time = {row.open_time: row for row in expected if from_ms <= row.open_time < to_ms}
        written = _written(redis, group, from_ms, to_ms)
        checked["rows"] += len(written)
        for at_ms in sorted(by_time.keys() | written.keys()):
            entry_id, there = written.get(at_ms, ("", None))
            if by_time.get(at_ms) == there:
                continue
            if window.is_doubtful(at_ms, there):
                checked["rows that cannot be told"] += 1
                continue
            yield _differs(group, at_ms, entry_id, by_time.get(at_ms), there)


def _span(redis: Redis, group: Group, found: Restored) -> tuple[int, int]:
    """Where the rows that can be checked begin and end, ms."""
    first: Any = redis.xrange(keys.aligned(group.name), count=1)
    if not first or first[0][1].get(b"s") == b"1":
        return group.start_ms, found.aligner.decided_ms
    batch = _batch(group, first[0][0].decode(), first[0][1])
    begins = numbers("q", batch.t)[0] if batch is not None else int(first[0][0].partition(b"-")[0]) + 1
    step_ms = timeframe(group.timeframe).duration_ms
    return begins - begins % step_ms, found.aligner.decided_ms


def _batch(group: Group, entry_id: str, fields: Fields) -> AlignedBatch | None:
    try:
        return decode(Entry.of(keys.aligned(group.name), (entry_id.encode(), fields)).body, AlignedBatch)
    except DecodeError:
        return None


def _in_order(redis: Redis, group: Group, checked: Checked) -> Iterator[Violation]:
    """Whether entries can be read, have the ids that they should, and rows that rise from entry to entry."""
    last_ms = -1
    for entry_id, fields in entries(redis, keys.aligned(group.name)):
        checked["aligned entries"] += 1
        batch = _batch(group, entry_id, fields)
        if batch is None:
            yield _wrong(group, "a batch of rows", "an entry that cannot be read", entry_id)
            continue
        times, spreads = numbers("q", batch.t), numbers("q", batch.spread)
        told = [AlignedRow.of(row) for row in rows_of(batch)]
        if [row.open_time for row in told] != list(times) or [row.spread_ms for row in told] != list(spreads):
            yield _wrong(group, "open times and spreads of the candles", "others", entry_id)
        if f"{times[-1]}-1" != entry_id:
            yield _wrong(group, f"entry id {times[-1]}-1, of its last row", entry_id, entry_id)
        if times[0] <= last_ms:
            yield _wrong(group, f"rows after {last_ms}", f"a row of {times[0]}", entry_id)
        last_ms = times[-1]


def _written(redis: Redis, group: Group, from_ms: int, to_ms: int) -> Rows:
    """The rows of the group that open in ``[from_ms, to_ms)``."""
    found: Rows = {}
    for entry_id, fields in entries(redis, keys.aligned(group.name), f"{from_ms}-0"):
        batch = _batch(group, entry_id, fields)
        if batch is None:
            continue
        if numbers("q", batch.t)[0] >= to_ms:
            break
        told = (AlignedRow.of(row) for row in rows_of(batch))
        found |= {row.open_time: (entry_id, row) for row in told if from_ms <= row.open_time < to_ms}
    return found


def _differs(
    group: Group, at_ms: int, entry_id: str, expected: AlignedRow | None, there: AlignedRow | None
) -> Violation:
    if expected is None:
        return _wrong(group, f"no row of {at_ms}", "one", entry_id, at_ms)
    if there is None:
        return _wrong(group, f"a row of {at_ms}", "none", "", at_ms)
    names = [*expected.candles, *(name for name in there.candles if name not in expected.candles)]
    name = next(name for name in names if expected.candles.get(name) != there.candles.get(name))
    wanted, found = expected.candles.get(name), there.candles.get(name)
    return _wrong(group, f"{name} in the row of {at_ms} as {_words(wanted)}", _words(found), entry_id, at_ms)


def _words(candle: tuple[Any, ...] | None) -> str:
    return "absent" if candle is None else str(list(candle))


def _wrong(group: Group, expected: str, found: str, entry_id: str = "", open_ms: int | None = None) -> Violation:
    where: dict[str, Any] = {"stream": keys.aligned(group.name), "entry_id": entry_id, "group": group.name}
    return Violation(promise="P6", **where, open_ms=open_ms, expected=expected, found=found)

"""The comparison with the stand-in exchanges' truth: every candle once, unchanged and in order, and so the rows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from redis import Redis

from bus import keys
from bus.alignment import AlignedRow, align_candles, effective_tolerance_ms
from bus.codec import candles_of, decode, rows_of
from bus.errors import CandleBusError
from bus.group_state import streams_of
from bus.messages import AlignedBatch, Candle, CandleBatch, Group
from bus.series import Series
from bus.streams import Entry
from bus.timeframes import SETTLE_MS
from candlebus.sandbox import Sandbox
from tests.faults.traffic import FRAME, Asked


class Counts(msgspec.Struct, kw_only=True):
    """What a comparison found."""

    pages: int = 0
    candles: int = 0
    rows: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0


class Truth:
    """What the exchanges have, kept as it is asked for."""

    def __init__(self, sandbox: Sandbox, start_ms: int) -> None:
        self._sandbox = sandbox
        self._start_ms = start_ms
        self._candles: dict[str, list[Candle]] = {}
        self._until_ms: dict[str, int] = {}

    def closed_ms(self, series: str) -> int:
        """The end of the last candle of a series that has closed by now, ms."""
        return FRAME.floor(self._sandbox.now_ms(Series.parse(series).exchange) - SETTLE_MS)

    def live(self, series: str, since_ms: int, until_ms: int) -> list[Candle]:
        """The candles of ``[since_ms, until_ms)``, wherever that lies."""
        parsed = Series.parse(series)
        return self._sandbox.truth(parsed.exchange, parsed.symbol, FRAME.name, since_ms, until_ms)

    def candles(self, series: str, since_ms: int, until_ms: int) -> list[Candle]:
        """The candles of ``[since_ms, until_ms)``, which begins no earlier than where the truth does."""
        known_ms = self._until_ms.get(series, self._start_ms)
        if until_ms > known_ms:
            self._candles.setdefault(series, []).extend(self.live(series, known_ms, until_ms))
            self._until_ms[series] = until_ms
        return [one for one in self._candles.get(series, []) if since_ms <= one.open_time < until_ms]


def compare(redis: Redis, truth: Truth, asked: Sequence[Asked], groups: Sequence[Group], counts: Counts) -> list[str]:
    """What on the server is lost, changed, there twice or out of order, in words; ``counts`` say how much there is."""
    troubles: list[str] = []
    for series in sorted({one.series for one in asked}):
        troubles += _wrong_pages(redis, truth, series, [one for one in asked if one.series == series], counts)
    for group in groups:
        troubles += _wrong_rows(redis, truth, group, asked, counts)
    return troubles


def _wrong_pages(redis: Redis, truth: Truth, series: str, asked: Sequence[Asked], counts: Counts) -> list[str]:
    parsed = Series.parse(series)
    stream = keys.candles(parsed.exchange, FRAME.name, parsed.symbol)
    try:
        entries = _entries(redis, stream)
        batches = [decode(entry.body, CandleBatch) for entry in entries]
    except CandleBusError as error:
        return [f"{series}: {error}"]
    counts.pages += len(batches)
    counts.candles += sum(batch.n for batch in batches)
    troubles = _wrong_numbers(stream, [entry.number for entry in entries], counts)
    pages: dict[str, list[CandleBatch]] = {one.request_id: [] for one in asked}
    for batch in batches:
        if batch.request_id not in pages:
            return [f"{series}: a page of {batch.request_id}, which nobody asked for"]
        pages[batch.request_id].append(batch)
    for one in asked:
        troubles += [
            f"{one.request_id} ({series}): {text}" for text in _wrong(truth, one, pages[one.request_id], counts)
        ]
    return troubles


def _entries(redis: Redis, stream: str) -> list[Entry]:
    found: Any = redis.xrange(stream)
    return [Entry.of(stream, raw) for raw in found]


def _wrong_numbers(stream: str, numbers: list[int], counts: Counts) -> list[str]:
    if numbers == list(range(1, len(numbers) + 1)):
        return []
    repeated = sum(n - 1 for n in Counter(numbers).values())
    counts.duplicated += repeated
    counts.lost += max(0, max(numbers) - len(set(numbers)))
    return [f"{stream}: {len(numbers)} entries are not numbered 1 to {len(numbers)}; {repeated} numbers repeat"]


def _wrong(truth: Truth, one: Asked, batches: list[CandleBatch], counts: Counts) -> list[str]:
    """What is wrong with the pages of a request."""
    spans = [(batch.since, batch.until) for batch in batches]
    if one.limit is not None:  # its span is whatever had closed when it was first looked at
        until_ms = max((until for _, until in spans), default=0)
        one = msgspec.structs.replace(one, since_ms=until_ms - one.limit * FRAME.duration_ms, until_ms=until_ms)
        if until_ms > truth.closed_ms(one.series):
            return [f"candles up to {until_ms} are there, but the last one closed at {truth.closed_ms(one.series)}"]
    if len(set(spans)) < len(spans):
        counts.duplicated += len(spans) - len(set(spans))
        return [f"{len(spans) - len(set(spans))} pages are there twice"]
    if spans != sorted(spans):
        counts.out_of_order += 1
        return [f"its pages are out of order: {spans}"]
    edges = [one.since_ms, *(until for _, until in spans)]
    if [since for since, _ in spans] != edges[:-1] or edges[-1] != one.until_ms:
        counts.lost += 1
        return [f"its {len(spans)} pages do not join from {one.since_ms} to {one.until_ms}: {spans}"]
    if [batch.page for batch in batches] != list(range(len(batches))):
        counts.duplicated += 1
        return [f"its pages are numbered {[batch.page for batch in batches]}"]
    candles = [candle for batch in batches for candle in candles_of(batch)]
    known = truth.candles if one.limit is None else truth.live
    expected = known(one.series, one.since_ms, one.until_ms)
    if candles == expected:
        gaps = sum((gap.to_ms - gap.from_ms) // FRAME.duration_ms for batch in batches for gap in batch.gaps)
        slots = FRAME.slots(one.since_ms, one.until_ms)
        return [] if gaps + len(candles) == slots else [f"{len(candles)} candles and {gaps} gaps are not {slots} slots"]
    return _wrong_candles(candles, expected, counts)


def _wrong_candles(candles: list[Candle], expected: list[Candle], counts: Counts) -> list[str]:
    times, true_times = [one.open_time for one in candles], [one.open_time for one in expected]
    lost, repeated = len(set(true_times) - set(times)), len(times) - len(set(times))
    counts.lost += lost
    counts.duplicated += repeated
    counts.out_of_order += times != sorted(times)
    changed = len(set(candles) - set(expected))
    return [f"of {len(expected)} candles {lost} are lost, {repeated} there twice, {changed} changed or made up"]


def expected_rows(truth: Truth, group: Group, asked: Sequence[Asked]) -> list[AlignedRow]:
    """The rows of the batch alignment, up to where every series of the group was asked."""
    until_ms = min(
        max((a.until_ms for a in asked if a.series == name), default=group.start_ms) for name in group.series
    )
    candles = {name: truth.candles(name, group.start_ms, until_ms) for name in group.series}
    return align_candles(candles, effective_tolerance_ms(group.tolerance_ms, FRAME.duration_ms), FRAME.duration_ms)


def rows_written(redis: Redis, group: Group) -> list[AlignedRow]:
    """The rows of the group's stream, as they stand there."""
    bodies = [entry.body for entry in _entries(redis, keys.aligned(group.name))]
    return [AlignedRow.of(row) for body in bodies for row in rows_of(decode(body, AlignedBatch))]


def _wrong_rows(redis: Redis, truth: Truth, group: Group, asked: Sequence[Asked], counts: Counts) -> list[str]:
    rows, expected = rows_written(redis, group), expected_rows(truth, group, asked)
    counts.rows += len(rows)
    numbers = [entry.number for entry in _entries(redis, keys.aligned(group.name))]
    troubles = _wrong_numbers(keys.aligned(group.name), numbers, counts)
    troubles += [f"{group.name}: {text}" for text in _left_over(redis, group)]
    if rows != expected:
        counts.lost += len({str(row) for row in expected} - {str(row) for row in rows})
        counts.duplicated += len(rows) - len({str(row) for row in rows})
        troubles.append(
            f"{group.name}: {len(rows)} rows of the aligner are not the {len(expected)} of the batch alignment of truth"
        )
    return troubles


def _left_over(redis: Redis, group: Group) -> list[str]:
    """What must not be there: candles that came late, entries set aside."""
    found = [(keys.late(group.name), "late candles")]
    found += [(keys.dead(stream), "entries set aside") for stream in streams_of(group).values()]
    return [f"{redis.xlen(name)} {what} in {name}" for name, what in found if redis.xlen(name)]

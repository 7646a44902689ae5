"""P7 and P10: every candle is one that can be, and candles and gaps fill the span of each page."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from redis import Redis

from bus.audit.reading import Fields, entries, set_aside_ids
from bus.audit.report import Checked, Violation
from bus.codec import decode, numbers
from bus.errors import DecodeError
from bus.messages import CandleBatch
from bus.streams import Entry
from bus.timeframes import timeframe

#: No price or volume of an honest candle is greater.
MOST: Final = 1e15


def candles(redis: Redis, stream: str, checked: Checked) -> Iterator[Violation]:
    """Whether each batch of a stream can be read, is valid, and accounts for every slot of its span."""
    set_aside = set_aside_ids(redis, stream)
    for entry_id, fields in entries(redis, stream):
        try:
            batch = _batch(stream, entry_id, fields)
        except DecodeError as error:
            if entry_id in set_aside:
                checked["entries set aside"] += 1
            else:
                yield _wrong("P10", stream, entry_id, "a batch, or a dead letter that names it", str(error))
            continue
        checked["candles"] += batch.n
        yield from _of_values(stream, entry_id, batch)
        yield from _of_span(stream, entry_id, batch)


def _batch(stream: str, entry_id: str, fields: Fields) -> CandleBatch:
    return decode(Entry.of(stream, (entry_id.encode(), fields)).body, CandleBatch)


def _of_values(stream: str, entry_id: str, batch: CandleBatch) -> Iterator[Violation]:
    columns = [numbers("d", data) for data in (batch.o, batch.h, batch.l, batch.c, batch.v)]
    for place, (open_, high, low, close, volume) in enumerate(zip(*columns, strict=True)):
        if not (0.0 <= low <= open_ <= high <= MOST and low <= close <= high and 0.0 <= volume <= MOST):
            at_ms = numbers("q", batch.t)[place]
            found = f"[{at_ms},{open_},{high},{low},{close},{volume}]"
            yield _wrong("P10", stream, entry_id, "candles that can be", found, batch.request_id)


def _of_span(stream: str, entry_id: str, batch: CandleBatch) -> Iterator[Violation]:
    """Whether candles and gaps fill the span: the codec has found both within it, and the open times rising."""
    step_ms = timeframe(batch.timeframe).duration_ms
    edges = [batch.since, batch.until, *(edge for gap in batch.gaps for edge in gap[:2])]
    times = numbers("q", batch.t)
    promise = ("P7", stream, entry_id)
    if any(edge % step_ms for edge in edges):
        yield _wrong(*promise, f"a span and gaps on the {batch.timeframe} grid", str(edges[:8]), batch.request_id)
        return
    if any(earlier.to_ms > later.from_ms for earlier, later in pairwise(batch.gaps)):
        yield _wrong(*promise, "gaps that follow one another", str(batch.gaps[:4]), batch.request_id)
        return
    within = next((gap for gap in batch.gaps if bisect_left(times, gap.from_ms) < bisect_left(times, gap.to_ms)), None)
    if within is not None:
        yield _wrong(*promise, f"no candle in the gap {list(within)}", "one", batch.request_id)
        return
    slots = (batch.until - batch.since) // step_ms
    named = sum((gap.to_ms - gap.from_ms) // step_ms for gap in batch.gaps)
    if batch.n + named != slots:
        found = f"{batch.n} candles and {named} slots in gaps"
        yield _wrong(*promise, f"{slots} slots of [{batch.since}, {batch.until})", found, batch.request_id)


def _wrong(promise: str, stream: str, entry_id: str, expected: str, found: str, request_id: str = "") -> Violation:
    return Violation(
        promise=promise, stream=stream, entry_id=entry_id, request_id=request_id, expected=expected, found=found
    )

"""From rows to a page: every row checked, in order, unique, and of the span that was asked for."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise, repeat
from operator import le
from typing import Any, Final

import msgspec

from bus.errors import MalformedPage
from bus.messages import Candle, Rejected, RejectReason
from bus.timeframes import Timeframe
from workers.exchanges.base import NothingTrue, Page
from workers.windows import within

#: More candles than any venue documents for one answer.
MAX_ROWS: Final = 5_000
#: No price or volume of an honest candle is greater.
MOST: Final = 1e15
#: 2009 to 2100: no exchange is older, and seconds or microseconds taken for ms fall outside.
EARLIEST_MS: Final = 1_230_768_000_000
LATEST_MS: Final = 4_102_444_800_000

#: Significant digits that every float64 keeps.
_KEPT_DIGITS: Final = 15
_IS_NUMERIC: Final = bytes(ord("0") if chr(byte) in "0123456789." else ord(" ") for byte in range(256))
_WRONG: Final[dict[RejectReason, str]] = {
    "time": "a candle whose open time is no time of its grid in ms",
    "impossible": "a candle that cannot be",
    "contradiction": "two candles for one open time",
}
_Floats = tuple[float, ...]
_LONG_NUMBER = re.compile(rb"[0-9.]{%d,}" % (_KEPT_DIGITS + 1))


def as_candles(rows: Iterable[msgspec.Struct]) -> list[Candle]:
    """Decoded rows as candles.

    Args:
        rows: Their fields stand in the order of a candle's.
    """
    new: Any = tuple.__new__  # half the price of Candle(…), which is Python
    return list(map(new, repeat(Candle), map(msgspec.structs.astuple, rows)))


def page(exchange: str, candles: list[Candle], timeframe: Timeframe, since_ms: int, until_ms: int, raw: bytes) -> Page:
    """The page that those rows make; a row that cannot be true is kept out of it and told beside it.

    Each row is one of the page's candles, rejected or passed over.

    Args:
        candles: As the exchange sent them, in any order.
        raw: The JSON that they came in, in which long decimals are counted.

    Raises:
        NothingTrue: No row can be true.
        MalformedPage: There are more rows than any exchange sends, or all are of another span.
    """
    if len(candles) > MAX_ROWS:
        raise MalformedPage(exchange, f"{exchange} sent {len(candles)} candles at once, more than {MAX_ROWS}")
    rejected: list[Rejected] = []
    ordered = _in_step(candles, timeframe)
    if ordered is None:
        ordered, rejected = _one_by_one(candles, timeframe)
    asked_for = within(ordered, since_ms, until_ms)
    if ordered and not asked_for:
        _check_neighbours(exchange, ordered, timeframe, since_ms, until_ms)
    told = tuple(one for one in rejected if one.open_time is None or since_ms <= one.open_time < until_ms)
    if rejected and not ordered:
        raise _nothing_true(exchange, rejected, told)
    passed_over = len(candles) - len(asked_for) - len(told)
    return Page(candles=asked_for, long_decimals=long_decimals(raw), rejected=told, passed_over=passed_over)


def _nothing_true(exchange: str, rejected: list[Rejected], told: tuple[Rejected, ...]) -> NothingTrue:
    error = NothingTrue(exchange, f"{exchange} sent {in_words(rejected[0])}")
    error.rejected = told
    return error


def in_words(rejected: Rejected) -> str:
    """What is wrong with a row, and the row."""
    return f"{_WRONG[rejected.reason]}: {rejected.row}"


def native_rows(exchange: str, candles: list[Candle]) -> list[Candle]:
    """Rows of any length of candle, for which we know no grid: possible, unique, oldest first; the last may be open.

    Raises:
        MalformedPage: A row cannot be true, or two contradict each other.
    """
    for candle in candles:
        if not _is_possible(candle):
            raise MalformedPage(exchange, f"{exchange} sent a candle that cannot be: {_words(candle)}")
        if not is_plausible(candle.open_time):
            raise MalformedPage(exchange, f"{exchange} sent a candle whose open time is no ms: {_words(candle)}")
    return _unique(exchange, sorted(candles))


def is_plausible(instant_ms: int) -> bool:
    """Whether it is an instant of our century in ms, and not in seconds or microseconds."""
    return EARLIEST_MS <= instant_ms < LATEST_MS


def long_decimals(raw: bytes) -> int:
    """How many numbers of the JSON have more significant digits than a float64 keeps.

    Numbers of columns that are not used count too.
    """
    # A search for runs of digits is slow; most pages have none, which this finds at a fraction of the cost.
    if b"0" * (_KEPT_DIGITS + 1) not in raw.translate(_IS_NUMERIC):
        return 0
    digits = (number.replace(b".", b"").strip(b"0") for number in _LONG_NUMBER.findall(raw))
    return sum(len(significant) > _KEPT_DIGITS for significant in digits)


def _in_step(candles: list[Candle], timeframe: Timeframe) -> list[Candle] | None:
    """The rows oldest first where each is possible and one time step after the other; else None.

    Most pages are so, and whole columns are proved at a fraction of the price of rows.
    """
    if not candles:
        return None
    ordered = candles if candles[0].open_time <= candles[-1].open_time else candles[::-1]
    times, opens, highs, lows, closes, volumes = zip(*ordered, strict=True)
    first, step_ms = times[0], timeframe.duration_ms
    is_regular = first % step_ms == 0 and times == tuple(range(first, first + len(times) * step_ms, step_ms))
    if not (is_regular and is_plausible(first) and is_plausible(times[-1])):
        return None
    return ordered if _can_be(opens, highs, lows, closes, volumes) else None


def _can_be(opens: _Floats, highs: _Floats, lows: _Floats, closes: _Floats, volumes: _Floats) -> bool:
    # NaN fails every comparison, and makes the sum of volumes one; infinity is more than the most.
    return (
        all(map(le, lows, opens))
        and all(map(le, opens, highs))
        and all(map(le, lows, closes))
        and all(map(le, closes, highs))
        and min(lows) >= 0.0
        and max(highs) <= MOST
        and min(volumes) >= 0.0
        and max(volumes) <= MOST
        and math.isfinite(sum(volumes))
    )


def _one_by_one(candles: list[Candle], timeframe: Timeframe) -> tuple[list[Candle], list[Rejected]]:
    """The rows that can be true, oldest first and unique, and those that cannot, of whatever order and holes."""
    good: list[Candle] = []
    rejected: list[Rejected] = []
    for candle in candles:
        if candle.open_time % timeframe.duration_ms or not is_plausible(candle.open_time):
            rejected.append(Rejected(None, "time", _words(candle)))
        elif not _is_possible(candle):
            rejected.append(Rejected(candle.open_time, "impossible", _words(candle)))
        else:
            good.append(candle)
    kept = list(dict.fromkeys(sorted(good)))
    told = Counter(candle.open_time for candle in kept)
    twice = {open_time for open_time, count in told.items() if count > 1}
    rejected += [Rejected(one.open_time, "contradiction", _words(one)) for one in good if one.open_time in twice]
    return [candle for candle in kept if candle.open_time not in twice], rejected


def _is_possible(candle: Candle) -> bool:
    _, open_, high, low, close, volume = candle
    # NaN fails every comparison and infinity the last ones.
    return 0.0 <= low <= open_ <= high <= MOST and low <= close <= high and 0.0 <= volume <= MOST


def _unique(exchange: str, ordered: list[Candle]) -> list[Candle]:
    if len({candle.open_time for candle in ordered}) == len(ordered):
        return ordered
    kept = list(dict.fromkeys(ordered))
    for before, candle in pairwise(kept):
        if before.open_time == candle.open_time:
            raise MalformedPage(
                exchange, f"{exchange} sent two candles for one open time: {_words(before)} and {_words(candle)}"
            )
    return kept


def _check_neighbours(exchange: str, ordered: list[Candle], timeframe: Timeframe, since_ms: int, until_ms: int) -> None:
    # A row beside the span is a matter of bounds. Rows from elsewhere mean that the span was ignored, and nothing is
    # known of it: taken for an empty page, they would make a false gap.
    first, last = ordered[0].open_time, ordered[-1].open_time
    if last < since_ms - timeframe.duration_ms or first >= until_ms + timeframe.duration_ms:
        raise MalformedPage(
            exchange, f"{exchange} was asked for candles of {since_ms} to {until_ms} and sent {first} to {last}"
        )


def _words(candle: Candle) -> str:
    return msgspec.json.encode(candle).decode()

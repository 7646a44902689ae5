"""What a fetch will take, before anything is asked: pages, requests and seconds; pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from bus.series import Series
from bus.settings import Pace
from bus.timeframes import SETTLE_MS, Timeframe
from workers.exchanges import registry
from workers.limiter import budget

#: An answer's way there and back, roughly; exchanges are seldom nearer.
ROUND_TRIP_S: Final = 0.2
#: Questions before the first page: the contract map, and the clock three times.
_CLOCK_QUESTIONS: Final = 3
#: More workers of an exchange would only wait for one another.
_WORKERS: Final = 2


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What one exchange's share of a fetch takes at least; holes and refusals cost more.

    Attributes:
        slots: Open times, candles or gaps, of all its series together.
        pages: Answers with candles.
        requests: Pages, and the questions for contracts and time.
        seconds: By its budget or by the round trips, whichever is longer.
    """

    exchange: str
    pace: Pace
    series: int
    slots: int
    pages: int
    requests: int
    seconds: float


def slots_of(frame: Timeframe, since_ms: int | None, until_ms: int | None, limit: int | None, now_ms: int) -> int:
    """How many open times the span has that have closed by ``now_ms``."""
    if limit is not None:
        return limit
    closed_ms = frame.floor(now_ms - SETTLE_MS)
    return frame.slots(since_ms or 0, closed_ms if until_ms is None else min(until_ms, closed_ms))


def estimates(series: Sequence[Series], slots: int, pace_of: Callable[[str], Pace]) -> list[Estimate]:
    """One estimate an exchange, in the order of the series.

    Args:
        slots: Open times of each series.
    """
    counts = Counter(one.exchange for one in series)
    return [_estimate(exchange, count, slots, pace_of(exchange)) for exchange, count in counts.items()]


def total_seconds(parts: Sequence[Estimate]) -> float:
    """Exchanges are asked side by side, so the slowest decides."""
    return max((part.seconds for part in parts), default=0.0)


def _estimate(exchange: str, series: int, slots: int, pace: Pace) -> Estimate:
    facts = registry.get(exchange).facts
    allowed = budget(facts, pace)
    pages = series * -(-slots // allowed.rows)
    weight = pages * facts.weights.candles + facts.weights.contracts + _CLOCK_QUESTIONS * facts.weights.server_time
    requests = pages + 1 + _CLOCK_QUESTIONS
    by_budget_s = weight * allowed.interval_us / 1e6
    by_round_trips_s = (pages / min(series, _WORKERS) + 1 + _CLOCK_QUESTIONS) * ROUND_TRIP_S
    return Estimate(
        exchange=exchange,
        pace=pace,
        series=series,
        slots=series * slots,
        pages=pages,
        requests=requests,
        seconds=max(by_budget_s, by_round_trips_s),
    )

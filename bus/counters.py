"""How much was done for each exchange, counted on the server: the counts survive every process."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import msgspec
from redis import Redis, ResponseError

from bus import keys
from bus.messages import CandleBatch, GapReason, Rejected, RejectReason
from bus.timeframes import timeframe

#: How a turn ended: the request is done; goes on later; waits for a pause; failed; was another worker's.
Outcome = Literal["done", "continued", "paused", "failed", "lost"]
#: Upper bounds of the classes into which turns are counted by their length, seconds, inclusive; one more has no bound.
TURN_BOUNDS_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much was done for an exchange since the bus began.

    Attributes:
        requests: Sent to it, retries included.
        refusals: Answered by it with a refusal for the rate.
        failures: Not answered, or with trouble of its own.
        retries: Sent once more for what had failed.
        pages: Published.
        candles: In them.
        gap_slots: Reason → open times without a candle in them.
        quarantined: Reason → rows that came and could not be true.
        turns: How they ended → how many.
        turn_seconds: How many turns took up to each of :data:`TURN_BOUNDS_S` and longer than the bound before, and at
            the end how many took longer than the last.
        turn_ms: How long all turns took together.
    """

    requests: int = 0
    refusals: int = 0
    failures: int = 0
    retries: int = 0
    pages: int = 0
    candles: int = 0
    gap_slots: dict[GapReason, int]
    quarantined: dict[RejectReason, int]
    turns: dict[Outcome, int]
    turn_seconds: tuple[int, ...]
    turn_ms: int = 0


def gap_slots_by_reason(batch: CandleBatch) -> dict[GapReason, int]:
    """How many open times of the batch have no candle, by reason."""
    step_ms = timeframe(batch.timeframe).duration_ms
    slots: dict[GapReason, int] = {}
    for gap in batch.gaps:
        slots[gap.reason] = slots.get(gap.reason, 0) + (gap.to_ms - gap.from_ms) // step_ms
    return slots


def page_counters(batch: CandleBatch, rejected: Sequence[Rejected] = ()) -> list[str | int]:
    """What a page adds to the counters: a name, a number, a name …; the script that publishes it counts it.

    Args:
        rejected: The rows that came for it and could not be true.
    """
    gaps = {f"gap_slots:{reason}": slots for reason, slots in gap_slots_by_reason(batch).items()}
    rows = {f"quarantined:{reason}": count for reason, count in Counter(one.reason for one in rejected).items()}
    return [part for pair in {"pages": 1, "candles": batch.n, **gaps, **rows}.items() for part in pair]


def count_turn(redis: Redis, exchange: str, outcome: Outcome, seconds: float) -> None:
    """Count a turn that took so long."""
    key = keys.counters(exchange)
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.hincrby(key, f"turns:{outcome}", 1)
        pipeline.hincrby(key, f"turn_seconds:{bisect_left(TURN_BOUNDS_S, seconds)}", 1)
        pipeline.hincrby(key, "turn_ms", round(seconds * 1000))
        pipeline.execute()


def counts_of(redis: Redis, exchange: str) -> Counts:
    """How much was done for an exchange; what stands there and is no count is left out."""
    try:
        found: Any = redis.hgetall(keys.counters(exchange))
    except ResponseError:  # no hash
        found = {}
    counted = {field.decode(errors="replace"): int(value) for field, value in found.items() if value.isdigit()}
    plain = {name: counted.get(name, 0) for name in _PLAIN}
    return Counts(
        **plain,
        gap_slots={reason: counted.get(f"gap_slots:{reason}", 0) for reason in get_args(GapReason)},
        quarantined={reason: counted.get(f"quarantined:{reason}", 0) for reason in get_args(RejectReason)},
        turns={outcome: counted.get(f"turns:{outcome}", 0) for outcome in get_args(Outcome)},
        turn_seconds=tuple(counted.get(f"turn_seconds:{place}", 0) for place in range(len(TURN_BOUNDS_S) + 1)),
    )


_PLAIN: Final = ("requests", "refusals", "failures", "retries", "pages", "candles", "turn_ms")

"""A view of a bus as metric families of Prometheus: names, help texts, labels, values."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from bus import keys
from bus.counters import TURN_BOUNDS_S, Counts
from candlebus.metrics.view import BusView

_Labels = tuple[str, ...]
_Key = TypeVar("_Key", bound=_Labels)

_COUNTERS: Final = {
    "requests": "Requests sent to the exchange, retries included.",
    "refusals": "Requests that the exchange refused for the rate.",
    "failures": "Requests that the exchange did not answer, or answered with trouble of its own.",
    "retries": "Requests sent once more for what had failed.",
    "pages": "Pages published.",
    "candles": "Candles published.",
}


def families(view: BusView) -> Iterator[Metric]:
    """Every family but ``candlebus_up``."""
    yield from _work(view.counts)
    yield from _queues(view)
    yield from _traffic(view)
    yield from _schedule(view)
    yield from _groups(view)
    yield from _streams(view)


def up(answers: bool) -> Metric:
    """Whether the server of the bus answers; the only family that there is while it does not."""
    return _gauge("up", "Whether the server of the bus answers.", {(): answers})


def _gauge(name: str, text: str, values: Mapping[_Key, float], labels: Iterable[str] = ()) -> Metric:
    family = GaugeMetricFamily(f"candlebus_{name}", text, labels=list(labels))
    for label_values, value in values.items():
        family.add_metric(list(label_values), value)
    return family


def _counter(name: str, text: str, values: Mapping[_Key, float], labels: Iterable[str]) -> Metric:
    family = CounterMetricFamily(f"candlebus_{name}", text, labels=list(labels))
    for label_values, value in values.items():
        family.add_metric(list(label_values), value)
    return family


def _work(counts: Mapping[str, Counts]) -> Iterator[Metric]:
    for name, text in _COUNTERS.items():
        yield _counter(name, text, {(one,): getattr(counted, name) for one, counted in counts.items()}, ["exchange"])
    gaps = {(one, reason): n for one, counted in counts.items() for reason, n in counted.gap_slots.items()}
    yield _counter("gap_slots", "Open times published without a candle.", gaps, ["exchange", "reason"])
    rows = {(one, reason): n for one, counted in counts.items() for reason, n in counted.quarantined.items()}
    yield _counter("quarantined_rows", "Rows of answers that could not be true.", rows, ["exchange", "reason"])
    turns = {(one, outcome): n for one, counted in counts.items() for outcome, n in counted.turns.items()}
    yield _counter("turns", "Turns of requests (jobs), by how they ended.", turns, ["exchange", "outcome"])
    lengths = HistogramMetricFamily("candlebus_turn_seconds", "How long a turn (job) took.", labels=["exchange"])
    bounds = [*map(str, TURN_BOUNDS_S), "+Inf"]
    for one, counted in counts.items():
        buckets = list(zip(bounds, accumulate(counted.turn_seconds), strict=True))
        lengths.add_metric([one], buckets, counted.turn_ms / 1000)
    yield lengths


def _queues(view: BusView) -> Iterator[Metric]:
    def of(name: str, text: str, values: Iterable[float]) -> Metric:
        exchanges = [(look.exchange,) for look in view.looks]
        return _gauge(name, text, dict(zip(exchanges, values, strict=True)), ["exchange"])

    yield of("queue_length", "Turns that wait in the queue.", (look.queued for look in view.looks))
    waits = (look.oldest_wait_ms / 1000 for look in view.looks)
    yield of("queue_wait_seconds", "How long the turn that is next has stood in the queue.", waits)
    yield of("open_requests", "Requests that have not ended.", (look.open_requests for look in view.looks))
    yield of("workers", "Workers that serve the queue.", (look.workers for look in view.looks))
    yield _gauge("aligners", "Aligner processes.", {(): view.aligners})
    yield _gauge("schedulers", "Scheduler processes.", {(): view.schedulers})


def _traffic(view: BusView) -> Iterator[Metric]:
    labels = ["exchange", "egress"]
    traffic = {(look.exchange, one.egress): one for look in view.looks for one in look.traffic}
    pauses = {(look.exchange, one.egress): one.left_ms / 1000 for look in view.looks for one in look.pauses}
    shares = {where: one.budget_share for where, one in traffic.items()}
    yield _gauge("budget_share", "Share of what the pace allows that was used in the last minute.", shares, labels)
    opened = {where: float(one.breaker is not None) for where, one in traffic.items()}
    yield _gauge("breaker_open", "Whether only single requests ask whether the exchange is back.", opened, labels)
    left = dict.fromkeys(traffic, 0.0) | pauses
    yield _gauge("pause_seconds", "How long nobody asks the exchange yet, because it refused.", left, labels)


def _schedule(view: BusView) -> Iterator[Metric]:
    behind = {(one.exchange, one.timeframe, one.symbol): one.behind_ms / 1000 for one in view.scheduled}
    yield _gauge(
        "schedule_behind_seconds",
        "For how long the first candle that has not arrived could have been here; 0 when none is missing.",
        behind,
        ["exchange", "timeframe", "symbol"],
    )


def _groups(view: BusView) -> Iterator[Metric]:
    groups = {status.group.name: status for status in view.groups}

    def by_series(name: str) -> dict[_Labels, float]:
        return {(group, one): n for group, status in groups.items() for one, n in getattr(status, name).items()}

    lags = {where: lag_ms / 1000 for where, lag_ms in by_series("lags_ms").items()}
    labels = ["group", "series"]
    yield _gauge("group_lag_seconds", "How far a series of the group is behind its furthest.", lags, labels)
    held = {(name,): float(status.is_held) for name, status in groups.items()}
    yield _gauge("group_held", "Whether all others wait for one series.", held, ["group"])
    rows = {(name,): float(status.rows) for name, status in groups.items()}
    yield _counter("group_rows", "Aligned rows written.", rows, ["group"])
    yield _counter("group_late", "Candles that came after their row was final.", by_series("late"), labels)
    corrected = by_series("corrections")
    yield _counter("group_corrections", "Candles that a newer one replaced in time.", corrected, labels)


def _streams(view: BusView) -> Iterator[Metric]:
    fullest: dict[_Labels, float] = {}
    for stream, entries in view.entries.items():
        exchange = (stream.removeprefix(keys.candles("", "", "").rstrip(":") + ":").partition(":")[0],)
        fullest[exchange] = max(fullest.get(exchange, 0.0), entries / keys.STREAM_HIGH_WATER)
    text = "Fill of the exchange's fullest candle stream; at 1 its publishers wait for readers."
    yield _gauge("stream_fill", text, fullest, ["exchange"])
    dead = {(stream,): float(count) for stream, count in view.dead.items()}
    yield _gauge("dead_letters", "Entries of a stream that were set aside.", dead, ["stream"])

"""One stand-in exchange without its socket: it meters, faults, answers and counts."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from bus.errors import SettingsError
from bus.messages import Candle
from bus.timeframes import Timeframe
from candlebus.sandbox.answers import Answer, Query, json_answer, whole
from candlebus.sandbox.bingx import BingX
from candlebus.sandbox.chance import seed_of, uniform
from candlebus.sandbox.dialect import Dialect
from candlebus.sandbox.faults import PAGE_FAULTS, Fault, FaultBook, FaultPlan
from candlebus.sandbox.kucoinfutures import KuCoinFutures
from candlebus.sandbox.limits import ArrivalLog, Meter, Rule, Verdict, most_in_window
from candlebus.sandbox.listings import Listing, Venue
from candlebus.sandbox.sources import Source

#: How long an injected refusal tells the client to wait, in ms.
FAULT_WAIT_MS: Final = 1000

_HTML: Final = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>Welcome</h1></body></html>"
_PAGE_1015: Final = (
    b"<!DOCTYPE html><html><head><title>Access denied</title></head>"
    b"<body><h1>Error 1015</h1><p>You are being rate limited</p><p>error code: 1015</p></body></html>"
)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, how long it waits, and the fault that the socket still has to commit."""

    answer: Answer
    delay_ms: float = 0
    fault: Fault | None = None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue has seen so far.

    Attributes:
        requests: All requests that arrived, refused ones included.
        refusals: Those refused by the limit, not by an injected fault.
        candle_requests: Those that asked for candles.
        by_path: Path → requests.
        refusals_by_path: Path → refusals.
        faults: Fault → how often it was injected.
        arrivals: Instant in ms of a clock that never goes back, and weight, oldest first; the newest million.
    """

    requests: int
    refusals: int
    candle_requests: int
    by_path: dict[str, int]
    refusals_by_path: dict[str, int]
    faults: dict[str, int]
    arrivals: tuple[tuple[float, int], ...]

    def max_in_window(self, window_ms: float) -> int:
        """The most requests that arrived in any window of that length."""
        return most_in_window(self.arrivals, window_ms)[0]

    def max_weight_in_window(self, window_ms: float) -> int:
        """The most weight that arrived in any window of that length."""
        return most_in_window(self.arrivals, window_ms)[1]

    def summary(self) -> dict[str, object]:
        """The same as plain data, with the busiest windows instead of the arrivals."""
        told: dict[str, object] = msgspec.structs.asdict(self)
        del told["arrivals"]
        windows = {str(ms): most_in_window(self.arrivals, ms) for ms in (1_000, 10_000, 30_000, 60_000)}
        told["max_in_window_ms"] = {ms: most for ms, (most, _) in windows.items()}
        told["max_weight_in_window_ms"] = {ms: weight for ms, (_, weight) in windows.items()}
        return told


class Exchange:
    """A venue at work. May be used from several threads.

    Args:
        clock: The venue's clock, ms UTC, without its skew.
    """

    def __init__(self, venue: Venue, source: Source, listings: Sequence[Listing], clock: Callable[[], int]) -> None:
        self.venue = venue
        self._source = source
        self._listings = {listing.symbol: listing for listing in listings}
        self._dialect: Dialect = BingX(source, listings) if venue == "bingx" else KuCoinFutures(source, listings)
        self._clock = clock
        self._lock = threading.Lock()
        self._meter = Meter(Rule())
        self._faults = FaultBook(FaultPlan(), venue)
        self._latency_ms, self._jitter_ms, self._skew_ms = 0.0, 0.0, 0
        self._log = ArrivalLog()
        self._requests: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._faulted: Counter[str] = Counter()

    def plan(
        self,
        *,
        rule: Rule | None = None,
        faults: FaultPlan | None = None,
        latency_ms: float | None = None,
        jitter_ms: float | None = None,
        clock_skew_ms: int | None = None,
    ) -> None:
        """Change what is given from the next request on; a new rule starts with empty windows."""
        with self._lock:
            self._meter = self._meter if rule is None else Meter(rule)
            if faults is not None:
                self._faults.follow(faults)
            self._latency_ms = self._latency_ms if latency_ms is None else latency_ms
            self._jitter_ms = self._jitter_ms if jitter_ms is None else jitter_ms
            self._skew_ms = self._skew_ms if clock_skew_ms is None else clock_skew_ms

    def now_ms(self) -> int:
        """The venue's clock, ms UTC, with its skew."""
        return self._clock() + self._skew_ms

    def reply(self, method: str, path: str, query: Query) -> Reply:
        """The reply to a request that arrives now."""
        with self._lock:
            instant_ms = time.monotonic_ns() / 1_000_000
            weight = self._meter.rule.weight(path)
            self._log.add(instant_ms, weight)
            self._requests[path] += 1
            verdict = self._meter.admit(instant_ms, weight)
            if not verdict.is_accepted:
                self._refusals[path] += 1
                return self._dressed(self._too_many(verdict), verdict)
            return self._accepted(path if method == "GET" else f"{method} {path}", query, verdict)

    def stats(self) -> Stats:
        """What the venue has seen so far."""
        with self._lock:
            return Stats(
                requests=self._requests.total(),
                refusals=self._refusals.total(),
                candle_requests=sum(n for p, n in self._requests.items() if self._dialect.question(p) == "candles"),
                by_path=dict(self._requests),
                refusals_by_path=dict(self._refusals),
                faults=dict(self._faulted),
                arrivals=self._log.snapshot(),
            )

    def truth(self, symbol: str, timeframe: Timeframe, since_ms: int, until_ms: int) -> list[Candle]:
        """The closed candles in ``[since_ms, until_ms)`` that the venue would serve now, volumes in base coins.

        Raises:
            SettingsError: The venue lists no such symbol.
        """
        listing = self._listings.get(symbol)
        if listing is None:
            raise SettingsError(f"the stand-in {self.venue} lists no {symbol}; it lists: {' '.join(self._listings)}")
        now_ms = self.now_ms()
        last_ms = min(until_ms - 1, now_ms - timeframe.duration_ms)
        with self._lock:
            rows = self._source.candles(listing, timeframe, since_ms, last_ms, now_ms)
        return [
            Candle(t, float(o), float(h), float(low), float(c), listing.base_volume(v)) for t, o, h, low, c, v in rows
        ]

    @property
    def symbols(self) -> tuple[str, ...]:
        """ccxt's unified symbols of all contracts."""
        return tuple(self._listings)

    def _accepted(self, path: str, query: Query, verdict: Verdict) -> Reply:
        fault = self._faults.draw(self._dialect.question(path))
        if fault is not None:
            self._faulted[fault] += 1
        answer = self._faulty(fault)
        if answer is None:
            book = self._faults
            thin = (lambda series, rows: book.thin(fault, series, rows)) if fault in PAGE_FAULTS else whole
            answer = self._dialect.answer(path, query, self.now_ms(), thin)
        return self._dressed(answer, verdict, fault)

    def _too_many(self, verdict: Verdict) -> Answer:
        return self._dialect.too_many(self.now_ms(), verdict.wait_ms, banned=verdict.is_banned)

    def _faulty(self, fault: Fault | None) -> Answer | None:
        match fault:
            case "http_429" | "http_418":
                return self._dialect.too_many(self.now_ms(), FAULT_WAIT_MS, banned=fault == "http_418")
            case "http_500" | "http_503":
                return json_answer({"message": "trouble at the server"}, int(fault.removeprefix("http_")))
            case "html":
                return Answer(body=_HTML, content_type="text/html")
            case "code_1015":
                return Answer(status=429, body=_PAGE_1015, content_type="text/html")
            case "busy":
                return self._dialect.busy()
            case "overload":
                return self._dialect.overloaded()
            case "empty_body":
                return Answer()
        return None

    def _dressed(self, answer: Answer, verdict: Verdict, fault: Fault | None = None) -> Reply:
        if self.venue == "kucoinfutures":
            headers = _quota(self._meter.rule, verdict) | answer.headers
            answer = msgspec.structs.replace(answer, headers=headers)
        jitter_ms = self._jitter_ms * uniform(seed_of("jitter", self.venue), self._requests.total())
        return Reply(answer=answer, delay_ms=self._latency_ms + jitter_ms, fault=fault)


def _quota(rule: Rule, verdict: Verdict) -> dict[str, str]:
    """KuCoin's headers: weight of the window, weight left in it, ms until some returns."""
    limit, remaining, reset = 2000, 2000, 30_000
    if rule.windows:
        limit, remaining, reset = rule.windows[0].weight, verdict.remaining, verdict.wait_ms
    return {
        "gw-ratelimit-limit": str(limit),
        "gw-ratelimit-remaining": str(remaining),
        "gw-ratelimit-reset": str(reset),
    }

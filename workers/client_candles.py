"""The candles of a client without a bus: batch by batch, closed by the exchange's time, chronological and unique."""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import msgspec

from bus.messages import Candle, Contract
from bus.timeframes import SETTLE_MS, Timeframe
from workers.client_native import NativeExchange
from workers.client_pace import SteadyClock
from workers.exchange_time import TimeStatus
from workers.http import HttpClient
from workers.paging import settle_page
from workers.retries import tried
from workers.watched import Watched
from workers.windows import closed_until, first_listed, page_end

DAY_MS: Final = 86_400_000


class Length(msgspec.Struct, frozen=True):
    """How long a candle without a common grid lasts, at the least and at the most, ms."""

    least_ms: int
    most_ms: int


#: Candles that do not open on the same days on all venues; their boundaries are the exchange's own.
GRIDLESS: Final = {
    "3d": Length(3 * DAY_MS, 3 * DAY_MS),
    "1w": Length(7 * DAY_MS, 7 * DAY_MS),
    "1M": Length(28 * DAY_MS, 31 * DAY_MS),
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which candles of a contract.

    Attributes:
        limit: At most so many.
        since_ms: The first that opens from here on; the newest where it is None.
        include_open: Whether the candle that has not closed yet is wanted too.
        rows: Most candles to ask for at once.
    """

    contract: Contract
    limit: int
    since_ms: int | None
    include_open: bool
    rows: int


class CandleDesk:
    """Asks one exchange for candles, a batch at a time."""

    def __init__(
        self,
        exchange: Watched,
        http: HttpClient,
        clock: SteadyClock,
        reading: Callable[[], tuple[int, TimeStatus]],
    ) -> None:
        """Ask nothing yet.

        Args:
            reading: The reference clock, ms, and what is known of the exchange's.
        """
        self._exchange = exchange
        self._http = http
        self._clock = clock
        self._reading = reading

    def candles(self, wanted: Wanted, frame: Timeframe) -> list[Candle]:
        """Candles on the grid of a timeframe; ``limit`` counts its slots, of which some may hold no candle."""
        now_ms, status = self._reading()
        closed_ms = closed_until(now_ms + status.low_ms, frame, SETTLE_MS)
        opening_ms = frame.floor(now_ms + status.middle_ms) + frame.duration_ms
        end_ms = max(closed_ms, opening_ms) if wanted.include_open else closed_ms
        # By our own clock alone nothing is certain, but a candle has closed where a later one is there.
        needs_proof = status.source == "local" and not wanted.include_open
        begin_ms, until_ms = _span(wanted, frame, end_ms, needs_proof)
        found = self._paged(wanted, frame, begin_ms, until_ms)
        return found[:-1] if needs_proof and until_ms == end_ms else found

    def _paged(self, wanted: Wanted, frame: Timeframe, begin_ms: int, until_ms: int) -> list[Candle]:
        found: list[Candle] = []
        while begin_ms < until_ms:
            end_ms = page_end(begin_ms, until_ms, frame, wanted.rows)
            page = settle_page(
                self._exchange,
                self._http,
                wanted.contract,
                frame,
                begin_ms,
                end_ms,
                rows=wanted.rows,
                sleep=self._clock.sleep,
            )
            found += page.candles
            begin_ms = end_ms
        return found

    def gridless(self, wanted: Wanted, exchange: NativeExchange, interval: str, length: Length) -> list[Candle]:
        """Candles whose open times only the exchange knows.

        Args:
            interval: The exchange's spelling.
        """
        now_ms, status = self._reading()
        latest_ms = now_ms + status.high_ms
        begin_ms = latest_ms - (wanted.limit + 1) * length.most_ms if wanted.since_ms is None else wanted.since_ms
        begin_ms = max(begin_ms, 0, (wanted.contract.listed_ms or 0) - length.most_ms)
        # With since only the oldest are wanted; one more shows that the last of them has closed.
        far_ms = begin_ms + (wanted.limit + 2) * length.most_ms
        until_ms = latest_ms if wanted.since_ms is None else min(far_ms, latest_ms)
        found = self._windows(wanted, exchange, interval, length, begin_ms, until_ms)
        if not wanted.include_open:
            found = _closed(found, now_ms + status.low_ms - SETTLE_MS, length)
        return found[-wanted.limit :] if wanted.since_ms is None else found[: wanted.limit]

    def _windows(
        self, wanted: Wanted, exchange: NativeExchange, interval: str, length: Length, begin_ms: int, until_ms: int
    ) -> list[Candle]:
        found: dict[int, Candle] = {}
        for at in range(begin_ms, until_ms, wanted.rows * length.least_ms):
            end_ms = min(at + wanted.rows * length.least_ms, until_ms)
            for _ in range(2):  # an answer with a hole is asked for once more, as everywhere
                # Right under inclusive and exclusive bounds alike; what lies beside them goes below.
                answer = self._native(wanted, exchange, interval, at - 1, end_ms - 1)
                found |= {candle.open_time: candle for candle in answer if at <= candle.open_time < end_ms}
                if answer and all(b.open_time - a.open_time <= length.most_ms for a, b in pairwise(answer)):
                    break
        return [found[open_time] for open_time in sorted(found)]

    def _native(
        self, wanted: Wanted, exchange: NativeExchange, interval: str, start_ms: int, end_ms: int
    ) -> list[Candle]:
        def ask() -> list[Candle]:
            return exchange.native_candles(self._http, wanted.contract, interval, start_ms, end_ms, wanted.rows)

        return tried(lambda: self._exchange.checked(ask), sleep=self._clock.sleep)


def _span(wanted: Wanted, frame: Timeframe, end_ms: int, needs_proof: bool) -> tuple[int, int]:
    """The slots wanted, ``[begin, until)`` in ms, on the grid; one more where the newest will be left out."""
    length_ms = wanted.limit * frame.duration_ms
    if wanted.since_ms is None:
        return max(0, end_ms - length_ms - (frame.duration_ms if needs_proof else 0)), end_ms
    begin_ms = frame.ceil(wanted.since_ms)
    begin_ms = first_listed(wanted.contract, frame, begin_ms, max(begin_ms, end_ms))
    return begin_ms, min(begin_ms + length_ms, end_ms)


def _closed(candles: list[Candle], now_low_ms: int, length: Length) -> list[Candle]:
    """Those that have closed: all that may have by their shortest length and have a later one after them, or that
    must have by their longest."""
    newest_ms = candles[-1].open_time if candles else 0
    return [
        candle
        for candle in candles
        if candle.open_time + length.most_ms <= now_low_ms
        or (candle.open_time + length.least_ms <= now_low_ms and candle.open_time < newest_ms)
    ]

"""The stand-in exchanges as one object: what tests, the demo and the command line start."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bus.errors import SettingsError
from bus.messages import Candle
from bus.timeframes import timeframe
from candlebus.sandbox.exchange import Exchange, Stats
from candlebus.sandbox.faults import FaultPlan
from candlebus.sandbox.generated import OMISSION_RATE
from candlebus.sandbox.limits import rule_of
from candlebus.sandbox.listings import VENUES, Listing, Venue, bingx_listings, kucoin_listings, listings_of
from candlebus.sandbox.replay import Recording, load
from candlebus.sandbox.sockets import Sockets
from candlebus.sandbox.sources import GeneratedSource, RecordedSource

Faults = str | FaultPlan
_T = TypeVar("_T", str, Faults)


class Sandbox:
    """Stand-in exchanges; a context manager that serves while it is entered.

    Args:
        venues: Which to serve, of ``bingx`` and ``kucoinfutures``.
        ports: Venue → port; others get a free one.
        replay: Candle files, or folders of them. A venue with any serves them alone, and its clock stands still at
            their latest fetch; a venue with none serves generated candles.
        limit: ``N/S``, ``off`` or None for the documented limits; or venue → one of these.
        block_ms: How long BingX refuses after an excess; None for the documented 5 minutes, 1 s with ``N/S``.
        faults: A plan or its text; or venue → one of these.
        latency_ms: Before every answer.
        jitter_ms: At most so much more before an answer, by chance with a fixed seed.
        clock_skew_ms: Venue → how far its clock is ahead.
        slow_ms: How long a body takes that the fault ``slow`` strews.
        omission_rate: Share of generated slots that KuCoin leaves out for want of trades, in [0, 1].
        extra: Further contracts to list.
        clock: Instead of this machine's clock, ms UTC.

    Raises:
        SettingsError: A venue, fault, limit or file is wrong, or a port is taken when it is entered.
    """

    def __init__(
        self,
        *,
        venues: Iterable[str] = VENUES,
        ports: Mapping[str, int] | None = None,
        replay: Iterable[str | Path] = (),
        limit: str | Mapping[str, str] | None = None,
        block_ms: int | None = None,
        faults: Faults | Mapping[str, Faults] | None = None,
        latency_ms: float = 0,
        jitter_ms: float = 0,
        clock_skew_ms: Mapping[str, int] | None = None,
        slow_ms: float = 2000,
        omission_rate: float = OMISSION_RATE,
        extra: Sequence[Listing] = (),
        clock: Callable[[], int] | None = None,
    ) -> None:
        recordings = load(replay, [*bingx_listings(), *kucoin_listings(), *extra])
        self._exchanges: dict[str, Exchange] = {
            name: _build(_venue(name), recordings, extra, omission_rate, clock or _system_clock) for name in venues
        }
        for name in (*(ports or {}), *(clock_skew_ms or {}), *_named(limit), *_named(faults)):
            self._exchange(name)
        for name, exchange in self._exchanges.items():
            exchange.plan(
                rule=rule_of(exchange.venue, _of(name, limit), block_ms),
                faults=_fault_plan(_of(name, faults)),
                latency_ms=latency_ms,
                jitter_ms=jitter_ms,
                clock_skew_ms=(clock_skew_ms or {}).get(name, 0),
            )
        self._sockets = Sockets(self._exchanges, dict(ports or {}), slow_ms)

    def __enter__(self) -> "Sandbox":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve; returns when every venue answers.

        Raises:
            SettingsError: A port is taken.
        """
        self._sockets.start()

    def stop(self) -> None:
        """Close all connections and ports; counts and truth stay readable."""
        self._sockets.stop()

    def url(self, venue: str) -> str:
        """Base URL of a venue, such as ``http://127.0.0.1:40123``."""
        self._exchange(venue)
        return self._sockets.url(venue)

    @property
    def urls(self) -> dict[str, str]:
        """Venue → base URL."""
        return {venue: self.url(venue) for venue in self._exchanges}

    def stats(self, venue: str) -> Stats:
        """What a venue has seen so far."""
        return self._exchange(venue).stats()

    def symbols(self, venue: str) -> tuple[str, ...]:
        """ccxt's unified symbols of all contracts of a venue."""
        return self._exchange(venue).symbols

    def truth(
        self, venue: str, symbol: str, timeframe_name: str, since_ms: int, until_ms: int | None = None
    ) -> list[Candle]:
        """The closed candles that a venue would serve now, oldest first, volumes in base coins.

        Args:
            symbol: ccxt's unified symbol, such as ``BTC/USDT:USDT``.
            since_ms: First open time, ms, inclusive.
            until_ms: Open times stay below it, ms; None for now.
        """
        exchange = self._exchange(venue)
        until_ms = exchange.now_ms() if until_ms is None else until_ms
        return exchange.truth(symbol, timeframe(timeframe_name), since_ms, until_ms)

    def now_ms(self, venue: str) -> int:
        """A venue's clock, ms UTC, with its skew."""
        return self._exchange(venue).now_ms()

    def plan(
        self,
        venue: str | None = None,
        *,
        limit: str | None = None,
        block_ms: int | None = None,
        faults: Faults | None = None,
        latency_ms: float | None = None,
        jitter_ms: float | None = None,
        clock_skew_ms: int | None = None,
    ) -> None:
        """Change what is given, on one venue or on all, from the next request on.

        A new limit starts with empty windows; new faults start counting requests at 1; ``faults=""`` ends them. A
        ``block_ms`` alone brings back the documented limits.
        """
        chosen = self._exchanges.values() if venue is None else [self._exchange(venue)]
        for exchange in chosen:
            exchange.plan(
                rule=None if limit is None and block_ms is None else rule_of(exchange.venue, limit, block_ms),
                faults=None if faults is None else _fault_plan(faults),
                latency_ms=latency_ms,
                jitter_ms=jitter_ms,
                clock_skew_ms=clock_skew_ms,
            )

    def _exchange(self, venue: str) -> Exchange:
        found = self._exchanges.get(venue)
        if found is not None:
            return found
        raise SettingsError(f"no stand-in {venue!r} here; there are: {' '.join(self._exchanges)}")


def _build(
    venue: Venue, recordings: Mapping[Venue, Recording], extra: Sequence[Listing], rate: float, clock: Callable[[], int]
) -> Exchange:
    listings = [*listings_of(venue), *(listing for listing in extra if listing.venue == venue)]
    recording = recordings.get(venue)
    if recording is None:
        return Exchange(venue, GeneratedSource(rate), listings, clock)
    recorded = {native_id for native_id, _ in recording.tracks}
    listed = [listing for listing in listings if listing.native_id in recorded]
    return Exchange(venue, RecordedSource(recording.tracks), listed, lambda: recording.now_ms)


def _venue(name: str) -> Venue:
    for venue in VENUES:
        if venue == name:
            return venue
    raise SettingsError(f"there is no stand-in for {name!r}; there are: {' '.join(VENUES)}")


def _fault_plan(faults: Faults | None) -> FaultPlan:
    return FaultPlan() if faults is None else FaultPlan.parse(faults) if isinstance(faults, str) else faults


def _of(venue: str, given: "_T | Mapping[str, _T] | None") -> "_T | None":
    return given.get(venue) if isinstance(given, Mapping) else given


def _named(given: Any) -> tuple[str, ...]:
    return tuple(given) if isinstance(given, Mapping) else ()


def _system_clock() -> int:
    return time.time_ns() // 1_000_000

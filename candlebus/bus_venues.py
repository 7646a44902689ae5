"""The exchanges of a manager over the bus, which is a shared one or one of its own."""

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from redis import Redis

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.errors import BusUnavailable, CandleBusError, FetchFailed, PartialResult, RequestError
from bus.messages import ClockOffset, ContractMap
from bus.series import Series
from bus.settings import Pace, load
from bus.timeframes import timeframe as timeframe_of
from candlebus.candle_bus import CandleBus, check_series
from producers.client import workers_of
from producers.contracts import contract_map
from producers.result import FetchResult
from producers.venues import Fetched, Listed, Profile, TimeSync
from workers.clock_offset import widened
from workers.exchange_time import LOCAL_BOUND_MS
from workers.exchanges import registry
from workers.limiter import budget

#: Any contract will do to have workers look at an exchange's clock; this one is listed everywhere.
_PROBE: Final = "BTC/USDT:USDT"
_WAIT_S: Final = 30.0
_LOOK_S: Final = 0.05


class BusVenues:
    """Asks for everything over the bus; see :class:`producers.venues.Venues`."""

    def __init__(self, names: Sequence[str], redis_url: str | None, pace: Pace | None) -> None:
        self._names = tuple(names)
        self._bus = _OpenBus(redis_url, pace)

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    def fetch(self, wanted: Mapping[str, Sequence[str]], timeframe: str, limit: int) -> Fetched:
        timeframe_of(timeframe)
        errors: dict[str, CandleBusError] = {}
        sound: list[str] = []
        for name in [f"{exchange}:{symbol}" for exchange, symbols in wanted.items() for symbol in symbols]:
            try:
                check_series([name], timeframe)
                sound.append(name)
            except RequestError as error:
                errors[name] = error
        if not sound:
            return Fetched(candles={}, errors=errors)
        return self._fetched(sound, timeframe, limit, errors)

    def _fetched(self, sound: list[str], timeframe: str, limit: int, errors: dict[str, CandleBusError]) -> Fetched:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PartialResult)  # the manager warns, of everything at once
                result = self._bus.fetch(sound, timeframe, limit=limit)
        except FetchFailed as error:
            return Fetched(candles={}, errors=errors | error.causes)
        return Fetched(candles=_rows(result), errors=errors | result.errors, losses=tuple(_losses(result)))

    def contracts(self, exchange: str) -> Listed:
        registry.get(exchange)
        redis = self._bus.serving(exchange)
        with self._bus.readable_errors():
            known = Cache(redis, RedisClock(redis)).get(keys.contracts(exchange), ContractMap)
            return Listed.of(known or contract_map(redis, exchange, _WAIT_S), was_known=known is not None)

    def time_sync(self, exchange: str) -> TimeSync:
        registry.get(exchange)
        redis = self._bus.serving(exchange)
        with self._bus.readable_errors():
            clock = RedisClock(redis)
            cache = Cache(redis, clock)
            measured = cache.get(keys.clock(exchange), ClockOffset) or self._measured(exchange, cache)
            known = measured or cache.get(keys.clock_last(exchange), ClockOffset)
            if known is None:
                return TimeSync(source="local", low_ms=-LOCAL_BOUND_MS, high_ms=LOCAL_BOUND_MS)
            aged = widened(known, clock.now_ms())
        return TimeSync(source="ok" if measured else "cached", low_ms=aged.low_ms, high_ms=aged.high_ms)

    def _measured(self, exchange: str, cache: Cache) -> ClockOffset | None:
        """The offset after a request, before which a worker looks at the exchange's clock; None where it could not."""
        pending = self._bus.enqueue(f"{exchange}:{_PROBE}", "1m", limit=1)
        done = pending.wait(_WAIT_S)
        if not done.has_ended:
            pending.cancel()
            raise BusUnavailable(f"no answer from {exchange} within {_WAIT_S:.0f} s; its workers may wait out a pause")
        if done.error is not None:
            raise done.error
        return cache.get(keys.clock(exchange), ClockOffset)

    def profile(self, exchange: str) -> Profile:
        facts = registry.get(exchange).facts
        pace = self._bus.pace_of(exchange)
        return Profile(
            timeframes=tuple(facts.timeframes),
            page_rows=budget(facts, pace).rows if pace else facts.page_rows,
            pace=pace,
            limits=tuple({"weight": limit.weight, "window_ms": limit.window_ms} for limit in facts.limits),
        )

    def close(self) -> None:
        self._bus.close()


class _OpenBus(CandleBus):
    """A bus whose workers may be wanted before any candle is, and keep the original's pace unless told otherwise."""

    def __init__(self, redis_url: str | None, pace: Pace | None) -> None:
        super().__init__(redis_url, pace=pace)
        if pace is None:
            considerate = load(default_pace="conservative")
            self.settings = msgspec.structs.replace(considerate, redis_url=self.settings.redis_url)

    def serving(self, exchange: str) -> Redis:
        """The connection, once an exchange has its worker where the bus is our own."""
        redis = self._ready([Series(exchange, _PROBE)])
        deadline = time.monotonic() + _WAIT_S
        while self._local is not None and not workers_of(redis, exchange):
            self._local.check()
            if time.monotonic() > deadline:
                raise BusUnavailable(f"the worker of {exchange} did not start within {_WAIT_S:.0f} s")
            time.sleep(_LOOK_S)
        return redis

    def pace_of(self, exchange: str) -> Pace | None:
        """The pace of our own workers; None where they belong to a shared bus."""
        return self.settings.pace_of(exchange) if self._local is not None else None


def _rows(result: FetchResult) -> dict[str, list[list[float]]]:
    """The candles of the series that ran to their end."""
    return {name: [list(c) for c in candles] for name, candles in result.candles.items() if name not in result.errors}


def _losses(result: FetchResult) -> list[str]:
    """One line for each of those that lacks candles all the same."""
    whole = {name: gaps for name, gaps in result.gaps.items() if name not in result.errors}
    return msgspec.structs.replace(result, gaps=whole, errors={}).troubles()

"""The exchanges of a manager by clients of its own, without a bus."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Event
from typing import Final

from bus.clock import Clock, SystemClock
from bus.errors import CandleBusError, UnknownExchange
from bus.messages import ContractMap
from producers.venues import Fetched, Listed, Profile, TimeSync
from workers.ccxt_client import BATCH_ROWS, CcxtClient
from workers.exchanges import registry

#: The original integration's pause between two symbols of one exchange, kept at its pace.
BETWEEN_SYMBOLS_S: Final = 0.5

_Came = list[list[int | float]] | CandleBusError


class ClientVenues:
    """Asks each exchange by its client, all side by side; see :class:`producers.venues.Venues`."""

    def __init__(self, clients: Mapping[str, CcxtClient], clock: Clock | None = None) -> None:
        """Ask nothing yet.

        Args:
            clients: Name of the exchange → its client, closed with this object.
            clock: How to wait between two symbols.
        """
        self._clients = dict(clients)
        self._clock = clock or SystemClock()
        self._known: dict[str, ContractMap] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._clients)

    def fetch(self, wanted: Mapping[str, Sequence[str]], timeframe: str, limit: int) -> Fetched:
        stop = Event()
        with ThreadPoolExecutor(max(1, len(wanted))) as pool:
            try:
                asked = [pool.submit(self._one_by_one, *one, timeframe, limit, stop) for one in wanted.items()]
                came = dict(chain.from_iterable(one.result() for one in asked))
            finally:
                stop.set()  # without effect unless one has failed or we were interrupted
        return Fetched(
            candles={series: rows for series, rows in came.items() if not isinstance(rows, CandleBusError)},
            errors={series: error for series, error in came.items() if isinstance(error, CandleBusError)},
        )

    def _one_by_one(
        self, exchange: str, symbols: Sequence[str], timeframe: str, limit: int, stop: Event
    ) -> list[tuple[str, _Came]]:
        came: list[tuple[str, _Came]] = []
        for symbol in symbols:
            if came and not stop.is_set():
                self._pause(exchange)
            if stop.is_set():
                break
            came.append((f"{exchange}:{symbol}", self._asked(exchange, symbol, timeframe, limit)))
        return came

    def _asked(self, exchange: str, symbol: str, timeframe: str, limit: int) -> _Came:
        try:
            return self._client(exchange).fetch_ohlcv_bulk(symbol, timeframe, limit)
        except CandleBusError as error:
            return error

    def _pause(self, exchange: str) -> None:
        client = self._clients.get(exchange)
        if client is not None and client.pace == "conservative":
            self._clock.sleep(BETWEEN_SYMBOLS_S)

    def contracts(self, exchange: str) -> Listed:
        found = self._client(exchange).contract_map()
        known, self._known[exchange] = self._known.get(exchange), found
        return Listed.of(found, was_known=known == found)

    def time_sync(self, exchange: str) -> TimeSync:
        status = self._client(exchange).time_status()
        return TimeSync(source=status.source, low_ms=status.low_ms, high_ms=status.high_ms)

    def profile(self, exchange: str) -> Profile:
        client = self._client(exchange)
        facts = registry.get(client.id).facts
        return Profile(
            timeframes=tuple(client.timeframes),
            page_rows=min(BATCH_ROWS, facts.page_rows),
            pace=client.pace,
            limits=tuple({"weight": limit.weight, "window_ms": limit.window_ms} for limit in facts.limits),
        )

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _client(self, exchange: str) -> CcxtClient:
        found = self._clients.get(exchange)
        if found is None:
            raise UnknownExchange(f"no client for {exchange[:80]!r} here; there are: {' '.join(self._clients)}")
        return found

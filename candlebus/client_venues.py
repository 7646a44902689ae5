"""The exchanges of a manager by clients of its own, without a bus."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
        candles: dict[str, list[list[float]]] = {}
        errors: dict[str, CandleBusError] = {}
        stop = Event()

        def venue(exchange: str, symbols: Sequence[str]) -> None:
            for place, symbol in enumerate(symbols):
                if place and not stop.is_set():
                    self._pause(exchange)
                if stop.is_set():
                    return
                try:
                    candles[f"{exchange}:{symbol}"] = self._client(exchange).fetch_ohlcv_bulk(symbol, timeframe, limit)
                except CandleBusError as error:
                    errors[f"{exchange}:{symbol}"] = error

        with ThreadPoolExecutor(max(1, len(wanted))) as pool:
            try:
                for done in [pool.submit(venue, *one) for one in wanted.items()]:
                    done.result()
            finally:
                stop.set()  # without effect unless one has failed or we were interrupted
        return Fetched(candles=candles, errors=errors)

    def _pause(self, exchange: str) -> None:
        if self.profile(exchange).pace == "conservative":
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

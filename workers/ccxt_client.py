"""CcxtClient: an exchange's markets, prices and candles in ccxt's forms, without a bus."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from bus.errors import RequestError
from bus.messages import Candle, Contract, ContractMap
from bus.series import Series
from bus.settings import Settings, load
from bus.timeframes import TIMEFRAMES
from workers import client_markets, client_native
from workers.client_arguments import instant, whole
from workers.client_candles import GRIDLESS, CandleDesk, Wanted
from workers.client_original import OriginalNames
from workers.client_pace import PacedHttp, Spacing, SteadyClock, shared_spacing
from workers.contracts import ContractBook
from workers.exchange_time import ExchangeClock, TimeStatus
from workers.exchanges import registry
from workers.limiter import budget
from workers.local_cache import LocalCache
from workers.retries import tried
from workers.watched import Watched

#: Most candles asked for at once, and how many batches a bulk call makes unless told otherwise: the original's.
BATCH_ROWS: Final = 500
MAX_BATCHES: Final = 4
_T = TypeVar("_T")
_Row = list[int | float]


class CcxtClient(OriginalNames):
    """Asks one exchange directly, considerately: requests of one process keep 0.7 s apart unless told otherwise.

    The spacing counts for this process alone; several processes share a budget over the bus. May be used from several
    threads. Use it as a context manager, or call :meth:`close`.

    Attributes:
        id: Name of the exchange, such as ``bingx``.
        timeframes: Our name of every candle length that the exchange serves → its spelling.
        pace: How much of the exchange's limits it uses.
    """

    def __init__(self, exchange_id: str, *, settings: Settings | None = None, clock: SteadyClock | None = None) -> None:
        """Prepare to ask; sends nothing yet.

        Args:
            exchange_id: ``bingx``, ``kucoinfutures`` or another that ``candlebus exchanges`` lists.
            settings: By default from the environment, at the conservative pace unless ``CANDLEBUS_PACE`` says another.
            clock: Where time comes from and how to wait; with one of its own, a client also keeps a pace of its own.

        Raises:
            UnknownExchange: There is no such exchange; the message names the likeliest.
            SettingsError: A variable of the environment holds what it must not.
        """
        chosen = load(default_pace="conservative") if settings is None else settings
        adapter = registry.get(exchange_id)
        self._adapter, facts = adapter, adapter.facts
        self.id = facts.name
        self.pace = chosen.pace_of(self.id)
        self.timeframes = dict(client_native.intervals(adapter))
        self._rows = min(BATCH_ROWS, facts.page_rows)
        self._clock = clock or SteadyClock()
        url = chosen.urls.get(self.id, facts.base_url)
        spacing = Spacing(self._clock) if clock else shared_spacing(self.id, url, self._clock)
        interval_s = budget(facts, self.pace).interval_us / 1e6
        self._http = PacedHttp(self.id, url, spacing, interval_s)
        self._exchange = Watched(adapter, on_refusal=spacing.pause, on_clock_rejected=lambda: self._time.remeasure())
        cache = LocalCache(self._clock)
        self._book = ContractBook(self._exchange, self._http, cache, self._clock)
        steady = self._clock.monotonic
        self._time = ExchangeClock(
            self._exchange, self._http, self._clock, cache, make_ready=spacing.wait, monotonic=steady
        )
        self._desk = CandleDesk(self._exchange, self._http, self._clock, self._time.reading)

    def markets(self) -> dict[str, dict[str, Any]]:
        """All linear perpetuals by ccxt's unified symbol, as ccxt's markets; from a list at most an hour old.

        Raises:
            ExchangeError: The exchange does not give its list and never did.
        """
        listed = self._book.map()
        if listed.source == "fallback" and self._book.cause is not None:
            raise self._book.cause
        return {symbol: client_markets.market(contract) for symbol, contract in listed.contracts.items()}

    def ticker(self, symbol: str) -> dict[str, Any]:
        """Last trade and best quotes now, as ccxt's ticker.

        Raises:
            RequestError: The symbol is none of the exchange's.
            ExchangeError: What stood in the way, after three tries where trying again could help.
        """
        contract = self._contract(symbol)
        return client_markets.ticker(self._tried(lambda: self._exchange.ticker(self._http, contract)))

    def ohlcv(
        self,
        symbol: str,
        timeframe: str = "30m",
        limit: int = BATCH_ROWS,
        since: int | None = None,
        *,
        include_open: bool = False,
    ) -> list[_Row]:
        """Candles ``[open time in ms, open, high, low, close, volume]``, oldest first, each once, closed ones only.

        Args:
            timeframe: One of ``timeframes``.
            limit: How many slots of the timeframe; where nothing was traded, KuCoin has no candle.
            since: First open time, ms UTC; without it the newest.
            include_open: Also the candle that has not closed yet, as it stands now.

        Raises:
            RequestError: An argument is wrong; nothing was asked then.
            ExchangeError: What stood in the way, after three tries where trying again could help.
        """
        return self._candles(symbol, timeframe, limit, since, include_open, MAX_BATCHES)

    def fetch_ohlcv_bulk(
        self,
        symbol: str,
        timeframe: str = "30m",
        limit: int = BATCH_ROWS * MAX_BATCHES,
        *,
        since: int | None = None,
        include_open: bool = False,
        max_batches: int = MAX_BATCHES,
    ) -> list[_Row]:
        """As :meth:`ohlcv`, up to 2000 candles in 4 batches of 500 that keep 0.7 s apart at the conservative pace.

        Args:
            max_batches: How many batches of 500 to make at most.
        """
        return self._candles(symbol, timeframe, limit, since, include_open, max_batches)

    def server_time(self) -> int:
        """The exchange's time, ms UTC; see :meth:`time_status` for where it comes from and how far it may be off."""
        now_ms, status = self._time.reading()
        return now_ms + status.middle_ms

    def time_status(self) -> TimeStatus:
        """What is known of the exchange's clock: measured (``ok``), from before (``cached``) or guessed (``local``)."""
        return self._time.reading()[1]

    def contracts(self) -> dict[str, str]:
        """ccxt's symbol → the exchange's own name; cached for an hour, a few well-known ones where there is no list."""
        return {symbol: contract.native_id for symbol, contract in self.contract_map().contracts.items()}

    def contract_map(self) -> ContractMap:
        """The map behind :meth:`contracts`; its ``source`` is ``fallback`` where the exchange gave none."""
        return self._book.map()

    def fetch_native(
        self,
        symbol: str,
        interval: str,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int | None = None,
    ) -> list[_Row]:
        """Candles of one request with the exchange's own parameters, oldest first; the last may not have closed.

        Args:
            symbol: ccxt's symbol or the exchange's own, such as ``BTC-USDT``.
            interval: Our name or the exchange's spelling.
            start_time, end_time: Bounds of the open times, ms UTC, inclusive.
            limit: Most rows; of a longer span the newest.

        Raises:
            RequestError: An argument is wrong, or the span is wider than one answer; nothing was asked then.
            ExchangeError: What stood in the way.
        """
        exchange, name = client_native.native(self._adapter), client_native.name_of(self._adapter, interval)
        start_ms, end_ms = instant("start_time", start_time), instant("end_time", end_time)
        rows = None if limit is None else whole("limit", limit)
        step_ms = GRIDLESS[name].least_ms if name in GRIDLESS else TIMEFRAMES[name].duration_ms
        client_native.check_span(self._adapter, step_ms, start_ms, end_ms, rows)
        contract, spelled = self._by_either_name(symbol), self.timeframes[name]

        def ask() -> list[Candle]:
            return exchange.native_candles(self._http, contract, spelled, start_ms, end_ms, rows)

        return _lists(self._tried(lambda: self._exchange.checked(ask)))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> "CcxtClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _candles(
        self, symbol: str, timeframe: str, limit: int, since: int | None, include_open: bool, max_batches: int
    ) -> list[_Row]:
        spelled = client_native.spelling_of(self._adapter, timeframe)
        rows, batches = whole("limit", limit), whole("max_batches", max_batches)
        if rows > batches * BATCH_ROWS:
            raise RequestError(self._too_many(symbol, timeframe, rows, batches))
        since_ms = instant("since", since)
        wanted = Wanted(
            contract=self._contract(symbol),
            limit=rows,
            since_ms=since_ms,
            include_open=include_open,
            rows=self._rows,
        )
        if timeframe in GRIDLESS:
            native = client_native.native(self._adapter)
            return _lists(self._desk.gridless(wanted, native, spelled, GRIDLESS[timeframe]))
        return _lists(self._desk.candles(wanted, TIMEFRAMES[timeframe]))

    def _too_many(self, symbol: str, timeframe: str, rows: int, batches: int) -> str:
        return (
            f"{rows} candles are more than the {batches * BATCH_ROWS} of {batches} batches; pass "
            f"max_batches={-(-rows // BATCH_ROWS)} to fetch_ohlcv_bulk, or: "
            f"candlebus fetch {self.id}:{symbol} -t {timeframe} -n {rows}"
        )

    def _contract(self, symbol: str) -> Contract:
        return self._book.contract(Series.parse(f"{self.id}:{symbol}").symbol)

    def _by_either_name(self, symbol: str) -> Contract:
        if not isinstance(symbol, str):
            raise RequestError(f"a symbol is text such as BTC/USDT:USDT, not {symbol!r}")
        for contract in self._book.map().contracts.values():
            if contract.native_id == symbol:
                return contract
        return self._book.contract(symbol)

    def _tried(self, ask: Callable[[], _T]) -> _T:
        return tried(ask, sleep=self._clock.sleep)


def _lists(candles: list[Candle]) -> list[_Row]:
    return [list(candle) for candle in candles]

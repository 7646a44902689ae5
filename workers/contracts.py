"""Symbol → contract, through the contract map that all workers of an exchange share for an hour."""

import difflib
import logging

from bus import keys
from bus.cache import Cache
from bus.clock import Clock
from bus.errors import ExchangeError, UnknownSymbol
from bus.messages import Contract, ContractMap
from workers.exchanges.base import Exchange
from workers.http import HttpClient
from workers.retries import tried

_log = logging.getLogger(__name__)

#: A symbol that the map lacks may be new: a map older than this is fetched anew before it is refused.
_FRESH_ENOUGH_MS = 60_000


class ContractBook:
    """The contract map of one exchange: from this process, else from the server, else from the exchange."""

    def __init__(self, exchange: Exchange, http: HttpClient, cache: Cache, clock: Clock) -> None:
        self._exchange = exchange
        self._http = http
        self._cache = cache
        self._clock = clock
        self._key = keys.contracts(exchange.facts.name)
        self._held: ContractMap | None = None

    def contract(self, symbol: str) -> Contract:
        """The contract behind a symbol.

        Raises:
            UnknownSymbol: The exchange lists none; the message names the nearest.
            ExchangeError: The map is missing and the exchange does not give it.
        """
        found = self.map().contracts.get(symbol)
        if found is None and self._age_ms() > _FRESH_ENOUGH_MS:
            found = self.refresh().contracts.get(symbol)
        if found is None:
            raise UnknownSymbol(self._unknown(symbol))
        return found

    def map(self) -> ContractMap:
        """The map, at most an hour old; an older one only while the exchange does not give a new one."""
        if self._held is None or self._age_ms() > keys.CONTRACTS_TTL_MS:
            self._held = self._load()
        return self._held

    def refresh(self) -> ContractMap:
        """A map fetched now, which replaces the shared one."""
        fetched = self._fetch()
        self._cache.put(self._key, fetched, keys.CONTRACTS_TTL_MS)
        self._held = fetched
        return fetched

    def _load(self) -> ContractMap:
        try:
            return self._cache.get_or_load(self._key, ContractMap, keys.CONTRACTS_TTL_MS, self._fetch)
        except ExchangeError as error:
            last_good = self._cache.get(keys.contracts_last_good(self._exchange.facts.name), ContractMap)
            if last_good is None:
                raise
            _log.warning("contract map is stale", extra={"exchange": error.exchange, "cause": str(error)})
            return last_good

    def _fetch(self) -> ContractMap:
        name = self._exchange.facts.name
        contracts = tried(lambda: self._exchange.contracts(self._http))
        fetched = ContractMap(exchange=name, fetched_ms=self._clock.now_ms(), contracts=contracts)
        self._cache.put(keys.contracts_last_good(name), fetched, None)
        return fetched

    def _age_ms(self) -> int:
        return self._clock.now_ms() - self._held.fetched_ms if self._held else 0

    def _unknown(self, symbol: str) -> str:
        name = self._exchange.facts.name
        near = difflib.get_close_matches(symbol, self.map().contracts, n=1, cutoff=0.6)
        hint = f"did you mean {name}:{near[0]}?" if near else f"see: candlebus contracts {name}"
        return f"{name} lists no {symbol}; {hint}"

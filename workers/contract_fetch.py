"""A contract list asked of the exchange, and not believed at once when most of it is gone."""

import logging
from collections.abc import Callable
from typing import Final

from bus import keys
from bus.cache import Values
from bus.clock import Clock
from bus.codec import decode, encode
from bus.errors import DecodeError, MalformedPage
from bus.messages import Contract, ContractMap
from workers.exchanges.base import Exchange
from workers.http import HttpClient
from workers.retries import granted, tried

_log = logging.getLogger(__name__)

#: A list with less than this part of the last one's contracts is asked for again.
_MOST_SHRUNK: Final = 2
#: Between the two looks at such a list.
_SECOND_LOOK_S: Final = 3.0


class ContractFetch:
    """Fetches the list of one exchange and keeps the last good one."""

    def __init__(
        self,
        exchange: Exchange,
        http: HttpClient,
        cache: Values,
        clock: Clock,
        may_retry: Callable[[], bool] = granted,
    ) -> None:
        self._exchange = exchange
        self._http = http
        self._cache = cache
        self._clock = clock
        self._may_retry = may_retry
        self._name = exchange.facts.name
        self._last_key = keys.contracts_last_good(self._name)

    def last_good(self) -> ContractMap | None:
        """The last map that was believed, however old."""
        return self._cache.get(self._last_key, ContractMap)

    def fetched(self) -> ContractMap:
        """A map fetched now, which becomes the last good one.

        Raises:
            ExchangeError: The exchange gives none, an empty one, or a small one that it does not stand by.
        """
        contracts = self._asked()
        last = self.last_good()
        if last is not None and _has_shrunk(contracts, last):
            contracts = self._second_look(contracts, last)
        found = ContractMap(exchange=self._name, fetched_ms=self._clock.now_ms(), contracts=contracts)
        self._check(found)
        self._cache.put(self._last_key, found, None)
        return found

    def _check(self, found: ContractMap) -> None:
        """Refuse a map that its readers would refuse: each of them would ask the exchange again."""
        try:
            decode(encode(found), ContractMap)
        except DecodeError as error:
            raise MalformedPage(self._name, f"{self._name} lists what cannot be: {error}") from error

    def _asked(self) -> dict[str, Contract]:
        contracts = tried(
            lambda: self._exchange.contracts(self._http), sleep=self._clock.sleep, may_retry=self._may_retry
        )
        if not contracts:
            raise MalformedPage(self._name, f"{self._name} lists no contract at all")
        return contracts

    def _second_look(self, contracts: dict[str, Contract], last: ContractMap) -> dict[str, Contract]:
        """The list asked for once more: whole again, or the same small one, which is then believed."""
        self._clock.sleep(_SECOND_LOOK_S)
        again = self._asked()
        if _has_shrunk(again, last) and again.keys() != contracts.keys():
            raise MalformedPage(
                self._name,
                f"{self._name} lists {len(contracts)} contracts, then {len(again)} others, of {len(last.contracts)}",
            )
        if _has_shrunk(again, last):
            extra = {"exchange": self._name, "was": len(last.contracts), "count": len(again)}
            _log.warning("contract list has shrunk by more than half, twice the same", extra=extra)
        return again


def _has_shrunk(contracts: dict[str, Contract], last: ContractMap) -> bool:
    return len(contracts) * _MOST_SHRUNK < len(last.contracts)

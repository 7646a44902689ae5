"""Symbol → contract, through the contract map that all workers of an exchange share for an hour."""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from bus import keys
from bus.cache import Values, nothing
from bus.clock import Clock
from bus.errors import AccessRefused, CandleBusError, ExchangeError, ExchangeUnavailable, RateLimited
from bus.messages import Contract, ContractMap
from bus.unlisted import unlisted
from workers.contract_fetch import ContractFetch
from workers.exchanges.base import Exchange
from workers.fallback_contracts import fallback_map
from workers.http import HttpClient
from workers.retries import granted

_log = logging.getLogger(__name__)

#: A symbol that the map lacks may be new: a map older than this is fetched anew before it is refused.
_FRESH_ENOUGH_MS: Final = 60_000
#: A map that stands in for one that cannot be had is used so long before the exchange is asked again.
_STAND_IN_MS: Final = 5_000
#: A map is fetched ahead once so much of its life is over, in percent.
_AHEAD_PERCENT: Final = 80
#: A map from further ahead than this was fetched before the clock was set back, nobody knows how long ago.
_MOST_AHEAD_MS: Final = 5_000


class ContractBook:
    """The contract map of one exchange: from this process, else from where it is shared, else from the exchange.

    While the exchange gives none, the last good map stands in for it, and where there is none the fallback.

    Attributes:
        cause: Why the exchange's list cannot be had; None while it can.
    """

    def __init__(
        self,
        exchange: Exchange,
        http: HttpClient,
        cache: Values,
        clock: Clock,
        *,
        may_retry: Callable[[], bool] = granted,
    ) -> None:
        self._name = exchange.facts.name
        self._cache = cache
        self._clock = clock
        self._fetch = ContractFetch(exchange, http, cache, clock, may_retry)
        self._key = keys.contracts(self._name)
        self._held: ContractMap | None = None
        self._held_from_ms = self._held_until_ms = 0
        self._failed_ms = 0
        #: When the map was fetched that stood in last.
        self._stood_in_ms = 0
        self.cause: ExchangeError | None = None

    def contract(self, symbol: str) -> Contract:
        """The contract behind a symbol.

        Raises:
            UnknownSymbol: The exchange lists none; the message names the nearest.
            ExchangeError: The exchange's list cannot be had, and what stands in for it lacks the symbol.
        """
        listed = self.map()
        if symbol not in listed.contracts and self._may_be_new(listed):
            listed = self._shared(lambda found: self._age_ms(found) <= _FRESH_ENOUGH_MS)  # waits for another's load
        found = listed.contracts.get(symbol)
        if found is None:
            raise self._unlisted(symbol, listed)
        return found

    def map(self) -> ContractMap:
        """The map, at most an hour old; an older one or the fallback only while the exchange does not give a new one.

        Raises:
            ExchangeError: There is not even a fallback.
        """
        # Before it was read: the clock was set back, and nobody knows how long the map has been held.
        if self._held is None or not self._held_from_ms <= self._clock.now_ms() < self._held_until_ms:
            return self._shared(lambda found: not self._is_ahead(found), self._fetch.last_good)
        return self._held

    def refresh(self) -> ContractMap:
        """A map fetched from now on, by this caller or another; or what stands in for it, see ``cause``."""
        asked_ms = self._clock.now_ms()
        return self._shared(lambda found: found.fetched_ms > asked_ms and not self._is_ahead(found))

    def warm(self) -> ContractMap:
        """The map, fetched anew where most of its life is over, so that no reader ever waits for one."""
        youngest_ms = keys.CONTRACTS_TTL_MS * _AHEAD_PERCENT // 100
        return self._shared(lambda found: self._age_ms(found) < youngest_ms, self._fetch.last_good)

    def _shared(
        self,
        is_fresh: Callable[[ContractMap], bool],
        meanwhile: Callable[[], ContractMap | None] = nothing,
    ) -> ContractMap:
        found = self._cache.get_or_load(
            self._key, ContractMap, self._ttl_ms, self._loaded, is_fresh=is_fresh, meanwhile=meanwhile
        )
        self._held, self._held_from_ms = found, self._clock.now_ms()
        self._held_until_ms = self._held_from_ms + self._ttl_ms(found)
        if self.cause is not None and found.fetched_ms != self._stood_in_ms and not self._is_ahead(found):
            _log.info("contract list is back", extra={"exchange": self._name})
            self.cause = None
        return found

    def _ttl_ms(self, found: ContractMap) -> int:
        left_ms = keys.CONTRACTS_TTL_MS - max(0, self._age_ms(found))
        return left_ms if found.source == "exchange" and left_ms > _STAND_IN_MS else _STAND_IN_MS

    def _loaded(self) -> ContractMap:
        try:
            return self._fetch.fetched()
        except ExchangeError as error:
            return self._stand_in(error)

    def _stand_in(self, error: ExchangeError) -> ContractMap:
        found = self._fetch.last_good() or fallback_map(self._name)
        if self.cause is None:  # said once, not at every try
            extra = {"exchange": self._name, "cause": str(error), "instead": found.source if found else "nothing"}
            _log.warning("contract list is not available", extra=extra)
        self.cause, self._failed_ms = error, self._clock.now_ms()
        if found is None:
            raise error
        if self._is_ahead(found):
            found = msgspec.structs.replace(found, fetched_ms=0)  # else each reader would ask the exchange again
        self._stood_in_ms = found.fetched_ms
        return found

    def _may_be_new(self, listed: ContractMap) -> bool:
        has_just_failed = 0 <= self._clock.now_ms() - self._failed_ms < _STAND_IN_MS
        return listed.source == "exchange" and self._age_ms(listed) > _FRESH_ENOUGH_MS and not has_just_failed

    def _age_ms(self, listed: ContractMap) -> int:
        """How old the map is; more than any may be where nobody knows."""
        now_ms = self._clock.now_ms()
        return now_ms if self._is_ahead(listed) else now_ms - listed.fetched_ms

    def _is_ahead(self, listed: ContractMap) -> bool:
        return listed.fetched_ms > self._clock.now_ms() + _MOST_AHEAD_MS

    def _unlisted(self, symbol: str, listed: ContractMap) -> CandleBusError:
        if listed.source == "fallback" or self._age_ms(listed) > keys.CONTRACTS_TTL_MS:
            return self._not_available(symbol, listed)
        return unlisted(self._name, symbol, listed.contracts)

    def _not_available(self, symbol: str, listed: ContractMap) -> ExchangeError:
        # A pause is to be waited out and a refused address to be told of; both say more than the missing list.
        if isinstance(self.cause, RateLimited | AccessRefused):
            return self.cause
        is_fallback = listed.source == "fallback"
        known = "only " + " ".join(listed.contracts) if is_fallback else "the last one, which lacks it,"
        why = f" ({self.cause})" if self.cause else ""
        return ExchangeUnavailable(
            self._name,
            f"the contract list of {self._name} is not available{why}, so {symbol} cannot be looked up; {known} "
            f"{'are' if is_fallback else 'is'} known without it",
        )

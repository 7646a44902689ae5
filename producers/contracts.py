"""Ask for an exchange's contract map over the bus: the one its workers share, or a fresh one that a worker fetches."""

import time
from collections.abc import Iterable
from typing import Final

from redis import Redis

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.errors import BusUnavailable, UnknownSymbol
from bus.messages import ContractMap
from bus.queue import REFRESH_CONTRACTS, queue_of
from bus.safe_job import TURN_TIMEOUT_S
from bus.series import Series
from bus.unlisted import unlisted
from producers.client import workers_of

WAIT_S: Final = 30.0
_LOOK_S: Final = 0.1


def contract_map(redis: Redis, exchange: str, timeout_s: float = WAIT_S) -> ContractMap:
    """The contract map that the exchange's workers use, at most an hour old.

    Raises:
        BusUnavailable: There is none, and no worker fetched one in time.
    """
    cache = Cache(redis, RedisClock(redis))
    found = cache.get(keys.contracts(exchange), ContractMap)
    if found is None:
        _ask(redis, exchange)
        found = _awaited(cache, exchange, timeout_s)
    return found


def unlisted_of(redis: Redis, series: Iterable[Series]) -> list[UnknownSymbol]:
    """What to say of those series that their exchange's contract map lacks; nothing where the server has no map."""
    cache = Cache(redis, RedisClock(redis))
    found = []
    for one in series:
        known = cache.get(keys.contracts(one.exchange), ContractMap)
        if known is not None and one.symbol not in known.contracts:
            found.append(unlisted(one.exchange, one.symbol, known.contracts))
    return found


def _ask(redis: Redis, exchange: str) -> None:
    if not workers_of(redis, exchange):
        raise BusUnavailable(f"no worker serves {exchange}; start one with: candlebus worker {exchange}")
    queue_of(exchange, redis).enqueue_call(
        REFRESH_CONTRACTS,
        kwargs={"exchange": exchange},
        timeout=TURN_TIMEOUT_S,
        result_ttl=0,
        failure_ttl=60,
        description=f"contracts of {exchange}",
    )


def _awaited(cache: Cache, exchange: str, timeout_s: float) -> ContractMap:
    deadline = time.monotonic() + timeout_s
    while True:
        found = cache.get(keys.contracts(exchange), ContractMap)
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise BusUnavailable(f"no worker of {exchange} fetched its contracts within {timeout_s:.0f} s; see its log")
        time.sleep(_LOOK_S)

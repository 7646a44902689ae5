"""All that a worker of one exchange asks with: adapter, warm HTTP session, budget, contract map and clock."""

from redis import Redis

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.errors import RateLimited
from bus.messages import ClockOffset
from bus.settings import Settings
from workers import exchange_time
from workers.contracts import ContractBook
from workers.exchanges import registry
from workers.http import HttpClient
from workers.limiter import Limiter, budget
from workers.retries import tried


class Desk:
    """What one process needs to ask one exchange; keeps its connections warm between jobs."""

    def __init__(self, exchange_name: str, redis: Redis, settings: Settings) -> None:
        """Prepare to ask; sends nothing yet.

        Raises:
            UnknownExchange: There is no such exchange.
        """
        self.exchange = registry.get(exchange_name)
        self.budget = budget(self.exchange.facts, settings.pace_of(exchange_name))
        self.limiter = Limiter(redis, exchange_name, settings.egress, self.budget)
        base_url = settings.urls.get(exchange_name, self.exchange.facts.base_url)
        self.http = HttpClient(exchange_name, base_url, self.limiter.acquire)
        self.clock = RedisClock(redis)
        self._cache = Cache(redis, self.clock)
        self.contracts = ContractBook(self.exchange, self.http, self._cache, self.clock)

    def exchange_now_ms(self) -> int:
        """The exchange's time, never ahead of the truth, ms."""
        offset: ClockOffset = self._cache.get_or_load(
            keys.clock(self.exchange.facts.name), ClockOffset, keys.CLOCK_TTL_MS, self._measure
        )
        return self.clock.now_ms() + offset.low_ms

    def _measure(self) -> ClockOffset:
        return tried(lambda: exchange_time.measure(self.exchange, self.http, self.clock, samples=1))

    def note_refusal(self, error: RateLimited) -> None:
        """Have every worker of this exchange and address send nothing for as long as the exchange asked."""
        self.limiter.pause(error.pause_ms, str(error))

    def close(self) -> None:
        """Close the HTTP session."""
        self.http.close()

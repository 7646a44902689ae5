"""All that a worker of one exchange asks with: adapter, warm HTTP session, budget, contract map and clock."""

from redis import Redis

from bus.cache import Cache
from bus.clock import RedisClock
from bus.errors import AccessRefused, RateLimited
from bus.settings import Settings
from workers.contracts import ContractBook
from workers.exchange_time import ExchangeClock
from workers.exchanges import registry
from workers.http import HttpClient
from workers.limiter import Limiter, budget
from workers.watched import Watched


class Desk:
    """What one process needs to ask one exchange; keeps its connections warm between jobs."""

    def __init__(self, exchange_name: str, redis: Redis, settings: Settings) -> None:
        """Prepare to ask; sends nothing yet.

        Raises:
            UnknownExchange: There is no such exchange.
        """
        self.exchange = Watched(
            registry.get(exchange_name),
            on_refusal=self.note_refusal,
            on_clock_rejected=lambda: self.time.remeasure(),
        )
        facts = self.exchange.facts
        self.budget = budget(facts, settings.pace_of(exchange_name))
        self.limiter = Limiter(redis, exchange_name, settings.egress, self.budget)
        base_url = settings.urls.get(exchange_name, facts.base_url)
        self.http = HttpClient(exchange_name, base_url, self.limiter.acquire)
        self.clock = RedisClock(redis)
        cache = Cache(redis, self.clock)
        self.contracts = ContractBook(self.exchange, self.http, cache, self.clock)
        self.time = ExchangeClock(self.exchange, self.http, self.clock, cache)

    def exchange_now_ms(self) -> int:
        """The exchange's time, never ahead of the truth, ms; by the last known offset where it does not tell.

        Raises:
            ExchangeError: Nothing is known of its clock, and it refuses to be asked.
        """
        now_ms, status = self.time.reading()
        # A refusal holds for candles too: better to wait it out than to end a request by our own clock.
        if status.source == "local" and isinstance(status.cause, RateLimited | AccessRefused):
            raise status.cause
        return now_ms + status.low_ms

    def note_refusal(self, error: RateLimited) -> None:
        """Have every worker of this exchange and address send nothing for as long as the exchange asked."""
        self.limiter.pause(error.pause_ms, str(error))

    def close(self) -> None:
        """Close the HTTP session."""
        self.http.close()

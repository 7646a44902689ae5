"""All that a worker of one exchange asks with: adapter, warm HTTP session, budget, contract map and clock."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from redis import Redis

from bus.cache import Cache
from bus.clock import RedisClock
from bus.errors import AccessRefused, RateLimited, WorkerEnding
from bus.settings import Settings
from workers.contracts import ContractBook
from workers.exchange_time import ExchangeClock
from workers.exchanges import registry
from workers.exchanges.allowance import allowance, crowded_ms
from workers.http import HttpClient, Response
from workers.limiter import Limiter, budget
from workers.watched import Watched

#: Page requests of one turn that may be under way at once, so that round trips do not bound the rate.
IN_FLIGHT: Final = 4
#: A worker that was asked to end sends for so long what the pages under way still need; with the 20 s that an answer
#: may take it is gone within 25 s.
_LAST_ASKING_S: Final = 4.0
#: Shorter steps back are within what the pace leaves free.
_WORTH_WAITING_MS: Final = 20


class _DeskClock(RedisClock):
    """The server's clock, on which nobody of a desk that ends goes on waiting."""

    def __init__(self, redis: Redis, go_on: Callable[[], None]) -> None:
        super().__init__(redis)
        self._go_on = go_on

    def sleep(self, seconds: float) -> None:
        self._go_on()
        super().sleep(seconds)


class Desk:
    """What one process needs to ask one exchange; keeps its connections warm between jobs."""

    def __init__(self, exchange_name: str, redis: Redis, settings: Settings) -> None:
        """Prepare to ask; sends nothing yet.

        Raises:
            UnknownExchange: There is no such exchange.
        """
        self._ask_until_s = float("inf")
        self.exchange = Watched(
            registry.get(exchange_name),
            on_refusal=self.note_refusal,
            on_clock_rejected=lambda: self.time.remeasure(),
            on_failure=lambda error: self.limiter.breaker.note_failure(error),
            on_answer=lambda: self.limiter.breaker.note_answer(),
        )
        facts = self.exchange.facts
        self.budget = budget(facts, settings.pace_of(exchange_name))
        self.limiter = Limiter(redis, exchange_name, settings.egress, self.budget)
        self._base_url = settings.urls.get(exchange_name, facts.base_url)
        self._clients: list[HttpClient] = []
        self._of_thread = threading.local()
        self.executor = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix=exchange_name)
        self.http = self._new_client()
        self.clock = _DeskClock(redis, self._go_on)
        cache = Cache(redis, self.clock)
        may_retry = self.limiter.breaker.may_retry
        self.contracts = ContractBook(self.exchange, self.http, cache, self.clock, may_retry=may_retry)
        self.time = ExchangeClock(self.exchange, self.http, self.clock, cache, may_retry=may_retry)

    def _new_client(self) -> HttpClient:
        name = self.exchange.facts.name
        client = HttpClient(name, self._base_url, self._leave, on_answer=self._make_room)
        self._clients.append(client)
        return client

    @property
    def http_of_thread(self) -> HttpClient:
        """The HTTP session of the thread that asks: each keeps its own connection warm."""
        client: HttpClient | None = getattr(self._of_thread, "http", None)
        if client is None:
            client = self._of_thread.http = self._new_client()
        return client

    def _leave(self, weight: int) -> float:
        """Return when a request of that weight may leave: until when it must have, in monotonic seconds."""
        self._go_on()
        leaves_by_s = self.limiter.acquire(weight)
        self._go_on()
        return leaves_by_s

    def _go_on(self) -> None:
        if time.monotonic() > self._ask_until_s:
            raise WorkerEnding(f"this worker of {self.exchange.facts.name} was asked to end; another goes on")

    def end(self) -> None:
        """Ask for a few seconds more, so that pages under way are had whole; then whatever asks raises WorkerEnding."""
        self._ask_until_s = time.monotonic() + _LAST_ASKING_S

    def _make_room(self, answer: Response) -> None:
        """Have all workers step back while another program at this address spends the limit that we share."""
        names = self.exchange.facts.allowance_headers
        left = allowance(answer.headers, names) if names else None
        wait_ms = crowded_ms(left, self.budget.interval_us, self.budget.spare) if left else 0
        if left and wait_ms >= _WORTH_WAITING_MS:
            self.limiter.pause(
                wait_ms,
                f"another program at this address spends its limit: {left.remaining} left for {left.reset_ms} ms",
            )

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
        self.limiter.pause(error.pause_ms, str(error), refusals=1)

    def close(self) -> None:
        """End the threads and close their HTTP sessions."""
        self.executor.shutdown()
        for client in self._clients:
            client.close()

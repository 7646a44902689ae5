"""What is asked while faults happen: spans of several series, one after the other, asked again until they are there."""

import threading
import time
from collections import Counter
from typing import Final

import msgspec
from redis import Redis, RedisError

from bus.connection import connect
from bus.errors import BusError
from bus.requests import RequestBook, RequestStatus
from bus.timeframes import TIMEFRAMES
from producers.client import Pending, Producer

FRAME: Final = TIMEFRAMES["1m"]
#: Candles of a request: five pages of the harness's.
SLOTS: Final = 300
LIVE_SLOTS: Final = 30
_LIVE_EVERY_S: Final = 1.5
#: One of so many requests is cancelled in the middle, and asked again.
_CANCEL_EVERY: Final = 10
_LOOK_S: Final = 0.1


class Asked(msgspec.Struct, kw_only=True):
    """A request as the harness knows it; ``since_ms`` inclusive, ``until_ms`` exclusive.

    A live one asks for the last ``limit`` candles instead, up to whichever has closed. One that is to be cancelled is
    once it has a page.
    """

    request_id: str
    series: str
    since_ms: int = 0
    until_ms: int = 0
    limit: int | None = None
    is_accepted: bool = False
    is_done: bool = False
    is_to_cancel: bool = False


class Traffic:
    """Keeps some requests under way, as a client that repeats what it is not sure of.

    Attributes:
        asked: Everything that was asked since the beginning, by request id.
        failures: How often a request failed, by the kind of its error, or was cancelled; it was asked again each time.
        troubles: What a client must never see.
        forgotten: How often the server did not know a request any more.
    """

    def __init__(
        self,
        url: str,
        control: Redis,
        series: list[str],
        start_ms: int,
        *,
        live: list[str],
        most_open: int,
        name: str,
    ) -> None:
        """Ask nothing yet.

        Args:
            url: The server as clients see it, through a proxy.
            control: The server as the harness sees it, by a connection of its own.
            live: Series whose newest candles are asked for now and then.
            start_ms: Where the spans of every series begin.
            most_open: So many requests are under way at most.
            name: Prefix of the request ids.
        """
        self._client = connect(url, socket_timeout_s=4.0)
        self._producer = Producer(self._client)
        self._control = control
        self._book = RequestBook(control)
        self._series = series
        self._live = live
        self._next_ms = dict.fromkeys(series, start_ms)
        self._most_open = most_open
        self._name = name
        self.asked: dict[str, Asked] = {}
        self.failures: Counter[str] = Counter()
        self.forgotten = 0
        self.troubles: list[str] = []
        self._asks_more = False
        self._live_at = 0.0
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def more(self, yes: bool) -> None:
        """Whether to ask for new spans; what was asked is looked after all the same."""
        with self._turn:
            self._asks_more = yes

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._client.close()
        self._control.close()

    def open(self) -> list[Asked]:
        """The requests that are not done."""
        return [one for one in list(self.asked.values()) if not one.is_done]

    def until_ms(self, series: str) -> int:
        """How far a series has been asked, ms, exclusive."""
        return self._next_ms[series]

    def status(self, asked: Asked) -> RequestStatus | None:
        return self._book.status(asked.request_id)

    def look(self) -> None:
        """See how the open requests stand; what failed or was forgotten is asked again."""
        waiting = self.open()
        for one, status in zip(waiting, self._book.statuses([one.request_id for one in waiting]), strict=True):
            if status is not None and status.state == "done":
                one.is_done = True
            elif status is None and one.is_accepted:
                self.forgotten += 1
                one.is_accepted = False
            elif status is not None and status.has_ended:
                self.failures[f"failed: {type(status.error).__name__}" if status.error else status.state] += 1
                one.is_accepted = False
            elif status is not None and one.is_to_cancel and status.pages:
                one.is_to_cancel = False
                Pending(self._client, status.request, is_ours=True).cancel()
            if not one.is_done and not one.is_accepted:
                self._ask(one)

    def forget_done(self) -> None:
        """Look again at what was done: a server that lost its last writes may have lost that."""
        with self._turn:
            for one in self.asked.values():
                one.is_done = False

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_S):
            try:
                with self._turn:
                    self.look()
                    if self._asks_more and len(self.open()) < self._most_open:
                        self._ask_next()
                    if self._asks_more and time.monotonic() >= self._live_at:
                        self._ask_live()
            except RedisError:
                continue  # the server is away, or says no: looked at again
            except Exception as error:  # noqa: BLE001 - told as a violation
                self.troubles.append(f"the client ended with {error!r}")
                return

    def _ask_next(self) -> None:
        series = min(self._series, key=self._next_ms.__getitem__)
        since_ms = self._next_ms[series]
        until_ms = since_ms + SLOTS * FRAME.duration_ms
        request_id = f"{self._name}-{len(self.asked)}"
        self._next_ms[series] = until_ms
        asked = Asked(request_id=request_id, series=series, since_ms=since_ms, until_ms=until_ms)
        asked.is_to_cancel = len(self.asked) % _CANCEL_EVERY == 0
        self._add(asked)

    def _ask_live(self) -> None:
        self._live_at = time.monotonic() + _LIVE_EVERY_S
        series = self._live[len(self.asked) % len(self._live)]
        self._add(Asked(request_id=f"{self._name}-{len(self.asked)}", series=series, limit=LIVE_SLOTS))

    def _add(self, asked: Asked) -> None:
        self.asked[asked.request_id] = asked
        self._ask(asked)

    def _ask(self, asked: Asked) -> None:
        """Ask, by an id of our own: an answer that was lost makes the next try find the request."""
        try:
            is_live = asked.limit is not None
            span = {"limit": asked.limit} if is_live else {"since": asked.since_ms, "until": asked.until_ms}
            self._producer.enqueue(asked.series, FRAME.name, request_id=asked.request_id, **span)
            asked.is_accepted = True
        except (RedisError, BusError):
            self._client.connection_pool.disconnect()

"""The public face: fetch, enqueue and subscribe, over a shared bus or one of this process's own."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Final

import msgspec
from redis import Redis

from bus import keys
from bus.connection import check_server, connect, readable_errors
from bus.errors import BusUnavailable
from bus.fetch_request import span_asked
from bus.given import check_seconds, check_start, texts
from bus.instants import Instant
from bus.messages import AlignedBatch, CandleBatch
from bus.requests import RequestStatus
from bus.series import Series
from bus.settings import Pace, load
from bus.streams import follow as follow_stream
from bus.streams import follow_aligned
from bus.timeframes import timeframe as timeframe_of
from candlebus.exchange_locks import Say, holder_of
from candlebus.local import LocalBus
from producers.client import Pending, Producer
from producers.fetch import fetch_all
from producers.freshest import Freshest
from producers.result import FetchResult
from workers.exchanges import registry

OnProgress = Callable[[dict[str, RequestStatus]], None]

#: A server whose connections are gone has ended within this time, if it is about to.
_END_S: Final = 1.0


def _say(line: str) -> None:
    sys.stderr.write(f"candlebus: {line}\n")


class CandleBus:
    """Candles of perpetual futures over the bus that ``CANDLEBUS_REDIS_URL`` names, else over one of its own.

    Use it as a context manager, or call :meth:`close`: a bus of its own has child processes.
    """

    def __init__(self, redis_url: str | None = None, *, pace: Pace | None = None, say: Say = _say) -> None:
        """Connect, or start an embedded server.

        Args:
            redis_url: Server of a shared bus; by default from the environment, else local mode.
            pace: How much of the exchanges' limits to use, in local mode only: a shared bus's workers have their own.
            say: Called with a line when something must be waited for.

        Raises:
            SettingsError: An address, the server or the environment is not fit for a bus.
            BusUnavailable: No server answers.
        """
        settings = load()
        if redis_url is not None:
            settings = msgspec.structs.replace(settings, redis_url=redis_url)
        if pace is not None:
            settings = msgspec.structs.replace(settings, pace=pace, paces={})
        self.settings = settings
        self._say = say
        self._local: LocalBus | None = None
        self._open = ExitStack()
        self._redis: Redis | None = None
        if settings.redis_url is not None:
            self._connect(settings.redis_url)

    def _connect(self, url: str) -> Redis:
        self.url = url
        client = connect(url)
        self._open.callback(client.close)
        with readable_errors(url):
            check_server(client)
        self._redis = client
        return client

    def _ready(self, wanted: Sequence[Series]) -> Redis:
        """The connection, with workers for these series where the bus is our own."""
        exchanges = Counter(series.exchange for series in wanted)
        if self._redis is None:
            self._redis = self._connect(self._joined(exchanges) or self._start())
        if self._local is not None:
            self._local.serve(dict(exchanges))
        return self._redis

    def _joined(self, exchanges: Sequence[str] | Counter[str]) -> str:
        """The bus of 'candlebus up' on this machine, where it serves one of these exchanges; else empty."""
        for exchange in exchanges:
            holder = holder_of(exchange, self.settings)
            if holder is not None and holder.redis_url:
                self._say(f"joining the bus of {holder.command!r} (process {holder.pid}) at {holder.redis_url}")
                return holder.redis_url
        return ""

    def _start(self) -> str:
        self._local = self._open.enter_context(LocalBus(self.settings, self._say))
        return self._local.url

    def enqueue(
        self,
        series: str,
        timeframe: str,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        limit: int | None = None,
        request_id: str | None = None,
    ) -> Pending:
        """Ask for candles of one series and return at once; the request can be followed, awaited and cancelled.

        Args:
            since: First instant, inclusive: ms UTC, ISO 8601 (UTC where it names no zone) or a datetime with a
                timezone; excludes ``limit``.
            until: First instant after the span, exclusive; by default the end of the last closed candle.
            limit: Timeframe slots back from ``until``.
            request_id: ``[A-Za-z0-9_-]{1,64}``; by default derived, so that the same asking twice is one fetch.

        Raises:
            RequestError: An argument is wrong; its text says which and what to write.
        """
        asked = check_series([series], timeframe)
        since_ms, until_ms, count = span_asked(since, until, limit)
        redis = self._ready(asked)
        with self.readable_errors():
            return Producer(redis).enqueue(
                asked[0], timeframe, since=since_ms, until=until_ms, limit=count, request_id=request_id
            )

    def fetch(
        self,
        series: str | Sequence[str],
        timeframe: str,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        limit: int | None = None,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> FetchResult:
        """Candles of one or several series, side by side; arguments as in :meth:`enqueue`.

        Args:
            timeout_s: Give up on what has not arrived by then; what has arrived is in the result.
            on_progress: Called again and again with series → status.

        Raises:
            RequestError: An argument is wrong.
            FetchFailed: Nothing arrived; its text names every cause. A partial result warns instead.
            BusUnavailable: The server went away, or no worker serves an exchange.
        """
        asked = check_series(texts(series), timeframe)
        since_ms, until_ms, count = span_asked(since, until, limit)
        check_seconds("timeout_s", timeout_s)
        redis = self._ready(asked)
        with self.readable_errors():
            result = fetch_all(
                redis,
                asked,
                timeframe,
                since=since_ms,
                until=until_ms,
                limit=count,
                timeout_s=timeout_s,
                on_progress=on_progress or (lambda _: None),
                check=self._check,
            )
        return result.checked()

    def _check(self) -> None:
        if self._local is not None:
            self._local.check()

    def subscribe(
        self, series: str, timeframe: str, *, start: str = "now", idle: bool = False, raw: bool = False
    ) -> Iterator[CandleBatch | None]:
        """Batches of a series as they are published, by whomever; endless.

        A candle that two requests asked for comes once, and once more only if a later version differs.

        Args:
            start: ``now``, ``start`` or the entry id after which to begin.
            raw: Yield every batch as it stands on the stream, repeated candles and all.
            idle: Yield None about every two seconds in which nothing came, instead of waiting on.

        Raises:
            RequestError: An argument is wrong; raised at the call.
            EntriesLost: Entries were trimmed before they were read.
            UnknownVersion: A batch of a newer candlebus; the text names it.
        """
        asked = check_series([series], timeframe)[0]
        check_start("start", start)
        return self._followed(keys.candles(asked.exchange, timeframe, asked.symbol), start, idle=idle, raw=raw)

    def _followed(self, stream: str, start: str, *, idle: bool, raw: bool) -> Iterator[CandleBatch | None]:
        redis = self._ready([])
        freshest = Freshest()
        with self.readable_errors():
            for batch in follow_stream(redis, stream, start):
                news = batch if batch is None or raw else freshest.news(batch)
                if news is not None or (batch is None and idle):
                    yield news

    def subscribe_aligned(self, group: str, *, start: str = "now", idle: bool = False) -> Iterator[AlignedBatch | None]:
        """Aligned batches of a group, as :meth:`subscribe`."""
        redis = self._ready([])
        with self.readable_errors():
            yield from (batch for batch in follow_aligned(redis, group, start) if idle or batch is not None)

    @contextmanager
    def readable_errors(self) -> Iterator[None]:
        """Turn the library's errors into ours; where the server was our own, they say how it ended."""
        try:
            with readable_errors(self.url):
                yield
        except BusUnavailable:
            if self._local is not None:
                self._local.check_server(_END_S)
            raise

    @property
    def redis(self) -> Redis:
        """The connection to the bus; starts one of our own where none is named."""
        return self._ready([])

    def close(self) -> None:
        """End what this object started and close its connections."""
        self._open.close()
        self._redis = self._local = None

    def __enter__(self) -> "CandleBus":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_series(names: Sequence[str], timeframe: str) -> list[Series]:
    """The series named, each once, on known exchanges that have the timeframe.

    Raises:
        RequestError: The text says which one is wrong and what to write.
    """
    frame = timeframe_of(timeframe)
    asked = list(dict.fromkeys(Series.parse(text) for text in names))
    for series in asked:
        registry.get(series.exchange).facts.spelling(frame)
    return asked

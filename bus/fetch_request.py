"""What a fetch request may ask for."""

from typing import Final

import msgspec

from bus.errors import RequestError, SeriesError, SpanError
from bus.given import whole
from bus.instants import Instant, instant_ms, iso
from bus.series import NAME, Series
from bus.timeframes import timeframe

MAX_LIMIT: Final = 10_000_000
#: Since and until, ms UTC, and limit.
Span = tuple[int | None, int | None, int | None]
_HOW_MANY: Final = f"give an int from 1 to {MAX_LIMIT}"


class FetchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who asks for which candles: the keyword arguments of the wire function ``candlebus.fetch_candles``.

    Attributes:
        request_id: Chosen by the caller, ``[A-Za-z0-9_-]{1,64}``.
        since: First instant, ms, inclusive, rounded up to the grid; excludes ``limit``.
        until: First instant after the span, ms, exclusive, rounded up to the grid; the last closed candle
            bounds it by the exchange's time.
        limit: How many timeframe slots to count back from ``until``; excludes ``since``.
    """

    request_id: str
    exchange: str
    symbol: str
    timeframe: str
    since: int | None = None
    until: int | None = None
    limit: int | None = None

    @property
    def series(self) -> Series:
        """The series asked for."""
        return Series(self.exchange, self.symbol)

    def check(self) -> None:
        """Refuse what no worker could answer.

        Raises:
            RequestError: Its subclass names the argument that is wrong, with its value.
        """
        try:
            msgspec.convert(msgspec.structs.asdict(self), FetchRequest)
        except msgspec.ValidationError as error:
            raise RequestError(f"not a fetch request: {error}") from error
        if not NAME.fullmatch(self.request_id):
            raise RequestError(f"request id {self.request_id[:80]!r} is not of [A-Za-z0-9_-]{{1,64}}")
        if Series.parse(str(self.series)) != self.series:  # a colon in the exchange's name
            raise SeriesError(f"{self.exchange[:80]!r} is no exchange's name")
        timeframe(self.timeframe)
        check_span(self.since, self.until, self.limit)


def arguments(request: FetchRequest) -> str:
    """The arguments of a request in one canonical line, by which two askings are compared."""
    fields = {k: v for k, v in msgspec.structs.asdict(request).items() if k != "request_id" and v is not None}
    return msgspec.json.encode(fields, order="sorted").decode()


def span_asked(since: Instant | None, until: Instant | None, limit: int | None) -> Span:
    """How much is asked for, however a caller in Python gives the instants.

    Raises:
        SpanError: One of the three is of no such form, or they make no span.
    """
    return whole_span(instant_ms("since", since), instant_ms("until", until), limit)


def whole_span(since_ms: int | None, until_ms: int | None, limit: int | None) -> Span:
    """The same of ms UTC: each an int, whatever kind of whole number it was.

    Raises:
        SpanError: One of the three is no whole number, or they make no span.
    """
    how = "give ms since 1970"
    span = whole("since", since_ms, how), whole("until", until_ms, how), whole("limit", limit, _HOW_MANY)
    check_span(*span)
    return span


def check_span(since_ms: int | None, until_ms: int | None, limit: int | None) -> None:
    """Refuse spans that are empty, unbounded or ambiguous.

    Raises:
        SpanError: The message holds the values.
    """
    if (since_ms is None) == (limit is None):
        raise SpanError(
            "say how much: either a limit or a since" if limit is None else "limit and since exclude each other"
        )
    if limit is not None and not 0 < limit <= MAX_LIMIT:
        raise SpanError(f"limit {limit} is not between 1 and {MAX_LIMIT}")
    for name, given_ms in (("since", since_ms), ("until", until_ms)):
        if given_ms is not None and not 0 <= given_ms < 2**53:
            raise SpanError(f"{name} {given_ms} is no time in ms since 1970")
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise SpanError(f"since {iso(since_ms)} is not before until {iso(until_ms)}")

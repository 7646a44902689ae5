"""One page of a request: asked for, asked again where it lacks candles, and what is still missing named."""

import time
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from bus.errors import MalformedPage, SpanError
from bus.messages import Candle, Contract, Gap, Rejected
from bus.timeframes import Timeframe
from workers.exchanges.base import Exchange, Facts, NothingTrue, Page
from workers.exchanges.rows import in_words
from workers.http import HttpClient
from workers.retries import TRIES, granted, tried
from workers.windows import Span, apart, confirm_windows, first_listed, is_whole, missing, name_gaps, within

#: How often a window is narrowed while asking again keeps bringing candles to light; after that its holes are not
#: believed, and the page fails.
_ROUNDS: Final = 6


class SettledPage(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of every slot of ``[since_ms, until_ms)``: a candle, or a gap with its reason.

    Attributes:
        candles: Oldest first.
        gaps: Ascending; with the candles they fill the span.
        requests: How many requests it took, failed tries included.
        long_decimals: Numbers with more digits than float64 keeps, in all answers together.
        rejected: Rows that cannot be true and came again when they were asked for again, each once.
    """

    since_ms: int
    until_ms: int
    candles: list[Candle]
    gaps: list[Gap]
    requests: int
    long_decimals: int
    rejected: list[Rejected]


class FetchedPage(msgspec.Struct, frozen=True, kw_only=True):
    """The candles of ``[since_ms, until_ms)`` after every hole was asked for again; what is missing has no name yet.

    Attributes:
        first_ms: First slot of the span that was listed, ms; its end where none was.
        candles: Oldest first, unique, all of ``[first_ms, until_ms)``.
        requests: How many requests it took, failed tries included.
        long_decimals: Numbers with more digits than float64 keeps, in all answers together.
        rejected: Rows that cannot be true and came again when they were asked for again, each once.
    """

    since_ms: int
    until_ms: int
    first_ms: int
    candles: list[Candle]
    requests: int
    long_decimals: int
    rejected: list[Rejected]


def fetch_page(
    exchange: Exchange,
    http: HttpClient,
    contract: Contract,
    timeframe: Timeframe,
    since_ms: int,
    until_ms: int,
    *,
    rows: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
    tries: int = TRIES,
    may_retry: Callable[[], bool] = granted,
) -> FetchedPage:
    """All that the exchange has of one page.

    Args:
        since_ms: First instant, rounded up to the grid.
        until_ms: First instant after the page, rounded up to the grid; not past the last closed candle.
        rows: Slots of a largest page; the exchange's own number where it is None.
        sleep: Waits between tries, in seconds.
        tries: How often one request is sent at most.
        may_retry: Whether the workers' budget has room for another try.

    Raises:
        SpanError: The page is wider than the exchange answers at once, what was before its listing not counted.
        CandleBusError: What stood in the way, after the last try where trying again could help.
    """
    begin, end = timeframe.ceil(since_ms), timeframe.ceil(until_ms)
    most = min(rows or exchange.facts.page_rows, exchange.facts.page_rows)
    first = first_listed(contract, timeframe, begin, end)
    if timeframe.slots(first, end) > most:
        raise SpanError(f"page [{begin}, {end}) is wider than the {most} candles of one answer")
    asker = _Asker(exchange, http, contract, timeframe, sleep, tries, may_retry)
    found = _found(asker, first, end)
    return FetchedPage(
        since_ms=begin,
        until_ms=end,
        first_ms=first,
        candles=found,
        requests=asker.requests,
        long_decimals=asker.long_decimals,
        rejected=list(dict.fromkeys(asker.rejected)),
    )


def settled(
    page: FetchedPage,
    facts: Facts,
    contract: Contract,
    timeframe: Timeframe,
    *,
    rows: int | None = None,
    nothing_served_yet: bool = False,
    request_since_ms: int | None = None,
) -> SettledPage:
    """Every slot of a page: a candle, or a gap with its reason.

    Args:
        rows: Slots of a largest page; the exchange's own number where it is None.
        nothing_served_yet: Whether the request has got no candle so far.
        request_since_ms: Where the request begins; an emptiness that began on its earlier pages counts from there.
            The page's own start where it is None.
    """
    begin, first, end = page.since_ms, page.first_ms, page.until_ms
    gaps: list[Gap] = []
    if not is_whole(timeframe, first, end, page.candles):
        served = {candle.open_time for candle in page.candles}
        empty_since_ms = first_listed(contract, timeframe, min(request_since_ms or begin, begin), end)
        gaps = name_gaps(
            missing(timeframe, first, end, served),
            timeframe,
            facts.hole_reason,
            empty_since_ms=empty_since_ms if nothing_served_yet and first not in served else None,
            rows=min(rows or facts.page_rows, facts.page_rows),
        )
        if page.rejected:
            gaps = apart(gaps, timeframe, _poisoned(page, timeframe))
    return SettledPage(
        since_ms=begin,
        until_ms=end,
        candles=page.candles,
        gaps=([Gap(begin, first, "before_listing")] if begin < first else []) + gaps,
        requests=page.requests,
        long_decimals=page.long_decimals,
        rejected=page.rejected,
    )


def _poisoned(page: FetchedPage, timeframe: Timeframe) -> Collection[int]:
    """The slots of which rows came that cannot be true; any slot may be one where such a row tells no time."""
    slots = [one.open_time for one in page.rejected]
    if None in slots:
        return timeframe.open_times(page.since_ms, page.until_ms)
    return frozenset(slot for slot in slots if slot is not None)


def settle_page(
    exchange: Exchange,
    http: HttpClient,
    contract: Contract,
    timeframe: Timeframe,
    since_ms: int,
    until_ms: int,
    *,
    rows: int | None = None,
    nothing_served_yet: bool = False,
    request_since_ms: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
    tries: int = TRIES,
) -> SettledPage:
    """:func:`fetch_page`, then :func:`settled`, for those who ask for one page after another."""
    page = fetch_page(exchange, http, contract, timeframe, since_ms, until_ms, rows=rows, sleep=sleep, tries=tries)
    return settled(
        page,
        exchange.facts,
        contract,
        timeframe,
        rows=rows,
        nothing_served_yet=nothing_served_yet,
        request_since_ms=request_since_ms,
    )


class _Asker:
    """Sends the requests of one page and counts them."""

    def __init__(
        self,
        exchange: Exchange,
        http: HttpClient,
        contract: Contract,
        timeframe: Timeframe,
        sleep: Callable[[float], None],
        tries: int,
        may_retry: Callable[[], bool],
    ) -> None:
        self.timeframe = timeframe
        self.name = exchange.facts.name
        self.page_rows = exchange.facts.page_rows
        self.requests = 0
        self.long_decimals = 0
        self.rejected: list[Rejected] = []
        self._exchange = exchange
        self._http = http
        self._contract = contract
        self._sleep = sleep
        self._tries = tries
        self._may_retry = may_retry

    def candles(self, window: Span) -> list[Candle]:
        """The candles that open in the window, oldest first."""
        page = self._page(window)
        self.long_decimals += page.long_decimals
        self.rejected += page.rejected
        return within(page.candles, *window)

    def confirmed(self, window: Span) -> list[Candle]:
        """As :meth:`candles`, of a part of a page: it may hold nothing but rows that cannot be true."""
        try:
            return self.candles(window)
        except NothingTrue as error:
            told = error.__cause__.rejected if isinstance(error.__cause__, NothingTrue) else ()
            if not told or any(one.open_time is None for one in told):
                raise
            self.rejected += told
            return []

    def _page(self, window: Span) -> Page:
        left = iter(range(self._tries - 1, -1, -1))
        return tried(
            lambda: self._once(window, next(left)), sleep=self._sleep, tries=self._tries, may_retry=self._may_retry
        )

    def _once(self, window: Span, tries_left: int) -> Page:
        """One answer; while there are tries left, one in which every row can be true."""
        self.requests += 1
        page = self._exchange.candles(self._http, self._contract, self.timeframe, *window)
        if page.rejected and tries_left:
            raise MalformedPage(self.name, f"{self.name} sent {in_words(page.rejected[0])}")
        return page


def _found(asker: _Asker, since_ms: int, until_ms: int) -> list[Candle]:
    """All candles of the span, after every hole has been asked for again, oldest first."""
    if since_ms >= until_ms:
        return []
    try:
        candles = asker.candles((since_ms, until_ms))
    except NothingTrue as error:
        raise MalformedPage(error.exchange, str(error)) from error
    if is_whole(asker.timeframe, since_ms, until_ms, candles):
        return candles
    found = _by_open_time(candles)
    for from_ms, to_ms in _windows(asker, (since_ms, until_ms), found):
        _confirm(asker, (from_ms, to_ms), found, _ROUNDS)
    return [found[slot] for slot in sorted(found)]


def _confirm(asker: _Asker, window: Span, found: dict[int, Candle], rounds: int) -> None:
    """Ask for the window; if the answer was cut yet again, ask for less at a time."""
    served = _by_open_time(asker.confirmed(window))
    known = {slot for slot in asker.timeframe.open_times(*window) if slot in found}
    was_cut = served.keys() != known  # it brings new candles, or lacks some that there are
    found |= served  # two answers disagree when a candle was revised: the later one holds
    narrower = _windows(asker, window, found) if was_cut else []
    if narrower and not rounds:
        raise MalformedPage(asker.name, f"{asker.name} keeps sending a part of {window[0]} to {window[1]} only")
    for part in narrower:
        _confirm(asker, part, found, rounds - 1)


def _by_open_time(candles: list[Candle]) -> dict[int, Candle]:
    return {candle.open_time: candle for candle in candles}


def _windows(asker: _Asker, window: Span, found: dict[int, Candle]) -> list[Span]:
    runs = missing(asker.timeframe, *window, found)
    return confirm_windows(runs, asker.timeframe, *window, asker.page_rows)

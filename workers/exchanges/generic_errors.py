"""What ccxt's errors mean to a worker: its classes and the answer that they came with, as errors of ours."""

import re
from typing import Final

import ccxt

from bus.errors import (
    AccessRefused,
    CandleBusError,
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    MalformedPage,
    RateLimited,
    UnknownSymbol,
)
from workers.exchanges.answers import access_refused, by_status, is_busy_until, one_line
from workers.exchanges.pauses import retry_after_ms
from workers.http import Response

#: Silence after a refusal for the rate that does not say how long: the windows of most venues are a minute or less.
PAUSE_MS: Final = 60_000

#: What ccxt's parsers raise over an answer of another form than they know.
UNREADABLE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

# Bybit refuses both a fast caller and a whole country with 403, which ccxt takes for the former.
_ELSEWHERE = re.compile(rb"\b(country|region|restricted location|jurisdiction)\b", re.IGNORECASE)

#: The first class that fits decides.
_MEANINGS: Final[tuple[tuple[type[Exception], type[CandleBusError]], ...]] = (
    (ccxt.DDoSProtection, RateLimited),
    (ccxt.RateLimitExceeded, RateLimited),
    (ccxt.InvalidNonce, ClockRejected),
    (ccxt.BadSymbol, UnknownSymbol),
    (ccxt.PermissionDenied, AccessRefused),
    (ccxt.RestrictedLocation, AccessRefused),
    (ccxt.BadResponse, MalformedPage),
    (ccxt.OperationFailed, ExchangeUnavailable),
)


def ours(name: str, error: Exception, answer: Response | None, asked: str) -> CandleBusError:
    """The error that says what to do about one of ccxt's.

    Args:
        answer: What the exchange answered; None where it did not.
        asked: What the request was for, such as ``candles of BTC/USDT:USDT``.
    """
    said = one_line(str(error).removeprefix(name).strip()) or type(error).__name__
    if isinstance(error, UNREADABLE):
        return MalformedPage(name, f"{name} answered {asked} in an unknown form: {said}")
    kind = _kind(error, answer)
    if kind is RateLimited:
        pause_ms = _pause_ms(answer)
        return RateLimited(
            name, f"{name} wants {pause_ms / 1000:g} s of silence after {asked}: {said}", pause_ms=pause_ms
        )
    if kind is AccessRefused and answer is not None and answer.status in (403, 451):
        return access_refused(name, answer.status)
    if kind is UnknownSymbol:
        return UnknownSymbol(f"{name} has no such contract: {asked}: {said}")
    verb = "is in trouble with" if kind is ExchangeUnavailable else "refuses"
    return kind(name, f"{name} {verb} {asked}: {said}") if issubclass(kind, ExchangeError) else kind(said)


def _kind(error: Exception, answer: Response | None) -> type[CandleBusError]:
    named = next((kind for theirs, kind in _MEANINGS if isinstance(error, theirs)), ExchangeError)
    if answer is None:
        return named
    if answer.status == 429 or by_status(answer) is not None or is_busy_until(answer):
        return RateLimited
    if answer.status == 451 or (answer.status == 403 and (named is not RateLimited or _is_of_a_region(answer))):
        return AccessRefused
    return ExchangeUnavailable if named is ExchangeError and answer.status >= 500 else named


def _is_of_a_region(answer: Response) -> bool:
    return _ELSEWHERE.search(answer.body[:65_536]) is not None


def _pause_ms(answer: Response | None) -> int:
    if answer is None:
        return PAUSE_MS
    asked_ms = retry_after_ms(answer.headers.get("retry-after"), answer.headers.get("date"))
    refusal = by_status(answer)
    return asked_ms or (refusal.pause_ms if refusal else None) or PAUSE_MS

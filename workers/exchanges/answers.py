"""What an exchange's answer means: its payload, or the error that says what to do about it."""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from bus.errors import (
    AccessRefused,
    CandleBusError,
    ExchangeError,
    ExchangeUnavailable,
    MalformedPage,
    RateLimited,
    UnknownSymbol,
)
from workers.exchanges.pauses import retry_after_ms
from workers.http import Response

#: Ban after ignoring 429 (BingX api-ai-skills 2026-04-21, error-codes); its length is not said.
BAN_PAUSE_MS: Final = 3_600_000
#: Cloudflare's own limit blocks an address for 30 s (KuCoin futures-api-docs 2023-06-09, request rate limit).
CLOUDFLARE_PAUSE_MS: Final = 30_000

# Sought in a body whose runs of blanks were cut to one: blanks that may match in two places take quadratic time.
_CLOUDFLARE_LIMIT = re.compile(rb"error( code:?|</span>)? ?(<span>)? ?1015\b", re.IGNORECASE)
_T = TypeVar("_T")


class NoData(ExchangeError):
    """The exchange says in its own way that the span holds no candle."""


class Refusal(msgspec.Struct, frozen=True):
    """What a code means.

    Attributes:
        kind: The error that it becomes.
        pause_ms: Documented length of the block, for codes that have one of their own.
    """

    kind: type[CandleBusError]
    pause_ms: int | None = None


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one exchange says yes and no.

    Attributes:
        success: The code of an answer that holds what was asked for.
        refusals: Code → what it means; codes not listed become a plain ``ExchangeError``.
        pause_ms: How long to send nothing after a refusal for the rate that does not say.
        stated_pause_ms: Reads the length of a pause from an answer and its message; None where it says none.
        is_overload: Whether a refusal for the rate, by what its headers say, is not for ours: the exchange is busy.
    """

    exchange: str
    success: str
    refusals: Mapping[str, Refusal]
    pause_ms: int
    stated_pause_ms: Callable[[Response, str], int | None]
    is_overload: Callable[[Response], bool] = lambda _: False


class _Envelope(msgspec.Struct):
    code: int | str | None = None
    msg: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def payload(dialect: Dialect, response: Response, asked: str) -> msgspec.Raw:
    """The ``data`` of an answer that says yes, still in JSON.

    Args:
        asked: What the request was for, such as ``candles of BTC/USDT:USDT``; stands in messages.

    Raises:
        ExchangeError: Its subclass says what to do; ``NoData`` where the exchange calls the span empty.
        UnknownSymbol: The exchange says that it has no such contract.
    """
    envelope = _envelope(response.body)
    if envelope is not None and response.status == 200 and str(envelope.code) == dialect.success:
        return envelope.data
    raise _error(dialect, response, envelope, asked)


def decode(exchange: str, decoder: msgspec.json.Decoder[_T], data: msgspec.Raw, asked: str) -> _T:
    """The payload in the shape that the decoder knows.

    Raises:
        MalformedPage: It has another shape.
    """
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedPage(exchange, f"{exchange} answered {asked} in an unknown form: {one_line(error)}") from error


def one_line(text: object) -> str:
    """At most 200 printable characters of it."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)[:1000]).split())[:200]


def _envelope(body: bytes) -> _Envelope | None:
    try:
        return _ENVELOPE.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _error(dialect: Dialect, response: Response, envelope: _Envelope | None, asked: str) -> CandleBusError:
    code = "" if envelope is None or envelope.code is None else one_line(envelope.code)
    message = one_line(envelope.msg or "") if envelope else ""
    said = f"{message or 'no message'} (HTTP {response.status}, code {code or 'none'})"
    refusal = by_status(response) or dialect.refusals.get(code)
    # A block of this address holds whatever code comes with it, unless the code says that it is one for the rate.
    if response.status in (403, 451) and (refusal is None or refusal.kind is not RateLimited):
        return access_refused(dialect.exchange, response.status)
    if refusal is None and (response.status == 429 or is_busy_until(response)):
        refusal = Refusal(RateLimited)
    if refusal == Refusal(RateLimited) and dialect.is_overload(response):
        refusal = Refusal(ExchangeUnavailable)
    if refusal is not None:
        return _refused(dialect, refusal, response, f"{asked}: {said}", message)
    return _unlisted(dialect, response, code, f"{asked}: {said}")


def by_status(response: Response) -> Refusal | None:
    """What an answer means whatever it says: a ban, or the limit of Cloudflare before the exchange."""
    if response.status == 418:
        return Refusal(RateLimited, BAN_PAUSE_MS)
    # Cloudflare's limit answers in HTML or text, with 429 or 403 (github.com/rotki/rotki/issues/2841).
    if response.status != 200 and _CLOUDFLARE_LIMIT.search(b" ".join(response.body[:65_536].split())):
        return Refusal(RateLimited, CLOUDFLARE_PAUSE_MS)
    return None


def is_busy_until(response: Response) -> bool:
    """Whether the exchange is busy and says until when."""
    # A 503 that says when to come back is obeyed like a refusal for the rate: nobody asks before.
    stated_ms = retry_after_ms(response.headers.get("retry-after"), response.headers.get("date"))
    return response.status == 503 and stated_ms is not None


def _refused(dialect: Dialect, refusal: Refusal, response: Response, said: str, message: str) -> CandleBusError:
    name = dialect.exchange
    if refusal.kind is RateLimited:
        pause_ms = _pause_ms(dialect, refusal, response, message)
        return RateLimited(name, f"{name} wants {pause_ms / 1000:g} s of silence after {said}", pause_ms=pause_ms)
    if refusal.kind is UnknownSymbol:
        return UnknownSymbol(f"{name} has no such contract: {said}")
    if refusal.kind is ExchangeUnavailable:
        return ExchangeUnavailable(name, f"{name} is in trouble with {said}")
    if issubclass(refusal.kind, ExchangeError):
        return refusal.kind(name, f"{name} refuses {said}")
    return refusal.kind(f"{name} refuses {said}")


def _pause_ms(dialect: Dialect, refusal: Refusal, response: Response, message: str) -> int:
    asked_ms = retry_after_ms(response.headers.get("retry-after"), response.headers.get("date"))
    # Blocks with a length of their own are not the ones whose end the exchange states, but a ban may be.
    if asked_ms is None and (refusal.pause_ms is None or response.status == 418):
        asked_ms = dialect.stated_pause_ms(response, message)
    return asked_ms or refusal.pause_ms or dialect.pause_ms


def access_refused(name: str, status: int) -> AccessRefused:
    """The error of an exchange that lets this address ask for nothing."""
    region = ", often by region" if status == 451 else ""
    return AccessRefused(name, f"{name} refuses this address (HTTP {status}{region}); retrying will not help")


def _unlisted(dialect: Dialect, response: Response, code: str, said: str) -> ExchangeError:
    name = dialect.exchange
    if response.status >= 500:
        return ExchangeUnavailable(name, f"{name} is in trouble with {said}")
    if code and code != dialect.success:
        return ExchangeError(name, f"{name} refuses {said}")
    if response.status >= 400:
        return ExchangeError(name, f"{name} refuses {said}")
    return MalformedPage(name, f"{name} answered {said.partition(':')[0]} with {form(response)}")


def form(response: Response) -> str:
    """What an answer is that is none."""
    body = response.body.lstrip()
    if response.status != 200:
        where = one_line(response.headers.get("location", ""))
        return f"HTTP {response.status}" + (f" to {where}, which is not followed" if where else "")
    if not body:
        return "an empty body"
    if body.startswith(b"<"):
        return "a page of HTML"
    return "no JSON of its own: " + one_line(body[:80].decode("utf-8", "replace"))

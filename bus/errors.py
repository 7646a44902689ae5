"""Every error of candlebus, in one tree by who must act.

CandleBusError
├── RequestError              the asker must change something (exit code 2)
│   ├── SeriesError           the text of a series is malformed
│   ├── UnknownExchange
│   ├── UnknownSymbol
│   ├── UnsupportedTimeframe
│   ├── SpanError             since, until or limit make no span
│   ├── GroupError            an alignment group is unknown, taken or malformed
│   └── RequestConflict       a live request id with other arguments
├── SettingsError             the environment must change (exit code 2)
├── ExchangeError             the exchange's answer stands in the way (exit code 1)
│   ├── ExchangeUnavailable   busy, unreachable or broken: retried
│   │   └── OutOfService      not asked, because it has been so for long: not retried
│   ├── MalformedPage         an answer that cannot be believed: retried
│   ├── ClockRejected         the exchange finds our clock wrong: measured anew, retried
│   ├── RateLimited           refused for the rate: all workers of the exchange pause
│   │   └── Paused            not asked, because such a pause holds
│   └── AccessRefused         this address may not ask: never retried
├── BusError                  the bus stands in the way (exit code 1)
│   ├── BusUnavailable        no server, or it does not answer
│   ├── Fenced                another attempt has taken over this request or group
│   ├── WorkerEnding          this worker was asked to end; another goes on with the request
│   ├── EntriesLost           entries were trimmed before they were read
│   └── DecodeError           an entry that is not ours, or damaged
│       └── UnknownVersion    an entry of a layout that this version does not know
└── FetchFailed               nothing arrived (exit code 1, or that of its only cause)
"""

from typing import Any, ClassVar, Final

from bus.text import printable

#: No error says more, whatever it quotes.
_LONGEST_TEXT: Final = 4_000


class CandleBusError(Exception):
    """Base of all errors; its text is one line that says what was wrong and what to do."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, _LONGEST_TEXT))


class RequestError(CandleBusError):
    """The asker must change something."""

    exit_code = 2


class SeriesError(RequestError):
    """The text of a series is not EXCHANGE:SYMBOL of a perpetual."""


class UnknownExchange(RequestError):
    """No such exchange."""


class UnknownSymbol(RequestError):
    """The exchange lists no such contract."""


class UnsupportedTimeframe(RequestError):
    """No such timeframe, or not on this exchange."""


class SpanError(RequestError):
    """Since, until and limit do not make a span."""


class GroupError(RequestError):
    """An alignment group is unknown, taken or malformed."""


class RequestConflict(RequestError):
    """The request id is in use with other arguments."""


class SettingsError(CandleBusError):
    """The environment or an option must change."""

    exit_code = 2


class ExchangeError(CandleBusError):
    """The exchange's answer stands in the way.

    Attributes:
        exchange: Name of the exchange, such as ``bingx``.
        pause_ms: How long every worker of the exchange must send nothing, in ms; 0 for errors that pause nobody.
    """

    def __init__(self, exchange: str, message: str, *, pause_ms: int = 0) -> None:
        super().__init__(message)
        self.exchange = exchange
        self.pause_ms = pause_ms


class ExchangeUnavailable(ExchangeError):
    """Busy, unreachable or broken."""

    retryable = True


class OutOfService(ExchangeUnavailable):
    """The exchange was not asked, because all that asked it lately have failed for longer than anybody waits."""

    retryable = False


class MalformedPage(ExchangeError):
    """An answer that cannot be believed."""

    retryable = True


class ClockRejected(ExchangeError):
    """The exchange finds our clock wrong."""

    retryable = True


class RateLimited(ExchangeError):
    """Refused for the rate; nobody asks this exchange for ``pause_ms``."""


class Paused(RateLimited):
    """The exchange was not asked, because it had refused and the pause still holds."""


class AccessRefused(ExchangeError):
    """This address may not ask, often for its region."""


class BusError(CandleBusError):
    """The bus stands in the way."""


class BusUnavailable(BusError):
    """No server, or it does not answer."""

    retryable = True


class Fenced(BusError):
    """Another attempt has taken over; whatever this one still does has no effect."""


class WorkerEnding(BusError):
    """This worker was asked to end and asks the exchange nothing more; another goes on with the request."""


class EntriesLost(BusError):
    """Entries were trimmed before they were read."""


class DecodeError(BusError):
    """Bytes that are not a message of ours."""


class UnknownVersion(DecodeError):
    """A message of a layout that this version does not know."""


class FetchFailed(CandleBusError):
    """Nothing arrived; the text names every cause.

    Attributes:
        causes: Series → what happened to it.
    """

    def __init__(self, message: str, causes: dict[str, CandleBusError]) -> None:
        super().__init__(message)
        self.causes = causes
        codes = {cause.exit_code for cause in causes.values()}
        self.exit_code: int = codes.pop() if len(codes) == 1 else 1  # type: ignore[misc]


class PartialResult(UserWarning):
    """Some of what was asked for did not arrive; the text names what."""


def _tree(root: type[CandleBusError]) -> dict[str, type[CandleBusError]]:
    return {root.__name__: root} | {k: v for sub in root.__subclasses__() for k, v in _tree(sub).items()}


def to_record(error: CandleBusError) -> dict[str, Any]:
    """The form in which an error crosses the bus: its class name, its text and its exchange."""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "exchange": getattr(error, "exchange", ""),
        "pause_ms": getattr(error, "pause_ms", 0),
    }


def from_record(record: dict[str, Any]) -> CandleBusError:
    """The error that :func:`to_record` described; an unknown class comes back as its base."""
    kind = _tree(CandleBusError).get(str(record.get("type")), CandleBusError)
    message = str(record.get("message", "unknown error"))
    if issubclass(kind, ExchangeError):
        return kind(str(record.get("exchange", "")), message, pause_ms=int(record.get("pause_ms", 0)))
    if issubclass(kind, FetchFailed):
        return CandleBusError(message)
    return kind(message)

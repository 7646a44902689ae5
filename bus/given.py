"""What callers in Python give, whatever the annotations say."""

import operator
import re
from collections.abc import Iterable
from numbers import Real
from typing import Final

from bus.errors import RequestError, SeriesError, SpanError

_ENTRY_ID: Final = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")
_LONGEST_SHOWN: Final = 80


def is_text(given: object) -> bool:
    """Whether it is text."""
    return isinstance(given, str)


def shown(given: object) -> str:
    """It as a message shows it."""
    return repr(given)[:_LONGEST_SHOWN]


def whole(name: str, given: object, how: str) -> int | None:
    """The whole number that is given, numpy's too; None where none is. 5.0 and True are no whole numbers.

    Args:
        name: What the error calls it.
        how: What to give instead.

    Raises:
        SpanError: It is something else.
    """
    if given is None:
        return None
    try:
        if not isinstance(given, bool):
            return operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        pass  # said below
    raise SpanError(f"{name} {shown(given)} is no whole number; {how}")


def check_seconds(name: str, given: object) -> None:
    """Refuse what is no length of time; None is none that is given.

    Raises:
        RequestError: It is no number, or below 0.
    """
    if given is not None and not (isinstance(given, Real) and float(given) >= 0):
        raise RequestError(f"{name} {shown(given)} is no number of seconds")


def texts(given: str | Iterable[str]) -> list[str]:
    """The one series that is given, or several.

    Raises:
        SeriesError: It is neither.
    """
    if is_text(given):
        return [str(given)]
    try:
        return list(given)
    except TypeError as error:
        how = "write one such as 'bingx:BTC/USDT:USDT', or a list of them"
        raise SeriesError(f"{shown(given)} is no series; {how}") from error


def check_start(name: str, start: str) -> None:
    """Refuse what says no place of a stream.

    Args:
        name: What the error calls it.

    Raises:
        RequestError: It is neither ``start`` nor ``now`` nor an entry id.
    """
    if not is_text(start) or not (start in ("start", "now") or _ENTRY_ID.fullmatch(start)):
        raise RequestError(f"{name} {shown(start)} is neither start, now nor an entry id such as 1735689600000-0")

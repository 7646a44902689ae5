"""What a stand-in answers: status, headers and body, and the text of numbers in it."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from bus.messages import Candle

JSON_TYPE: Final = "application/json"
Query = Mapping[str, str]
#: Takes rows away from a page, given the series they belong to; a fault, or nothing.
Thin = Callable[[str, list[Candle]], list[Candle]]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP answer."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    content_type: str = JSON_TYPE


class Refusal(Exception):
    """A question that the venue answers with one of its error codes."""

    def __init__(self, status: int, code: int | str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def json_answer(content: Any, status: int = 200) -> Answer:
    """An answer whose body is JSON."""
    return Answer(status=status, body=msgspec.json.encode(content))


def plain(number: float) -> str:
    """The shortest decimal text of a number, without an exponent."""
    text = repr(number)
    if "e" in text:
        return format(Decimal(text), "f")
    return text.removesuffix(".0")


def whole(_series: str, rows: list[Candle]) -> list[Candle]:
    """The page as it is."""
    return rows


def instant(query: Query, name: str, refusal: Callable[[str], Refusal]) -> int | None:
    """The instant in ms of a parameter; None where it is absent or empty.

    Raises:
        Refusal: It is no whole number from 0 to 10**15.
    """
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise refusal(f"{name} is not a time in ms")
    return int(text)

"""A series: one contract on one exchange, and which names are allowed."""

import re
from typing import Final

import msgspec

from bus.errors import SeriesError
from bus.given import is_text, shown

#: Ids of requests and names of groups: one part of a key.
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXCHANGE: Final = re.compile(r"[a-z0-9_]{1,32}")
# Letters of every script: Binance lists perpetuals of coins with Chinese names; "$" stands in names of ccxt's.
_SYMBOL: Final = re.compile(r"[\w.$+-]{1,32}/[\w.$+-]{1,16}(:[\w.$+-]{1,32})?")


class Series(msgspec.Struct, frozen=True, order=True):
    """One contract on one exchange, written ``EXCHANGE:SYMBOL``.

    Attributes:
        exchange: Name of the exchange, such as ``bingx``.
        symbol: ccxt's unified symbol of the perpetual, such as ``BTC/USDT:USDT``.
    """

    exchange: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"

    @classmethod
    def parse(cls, text: str) -> "Series":
        """The series that ``text`` names, split at its first colon.

        Raises:
            SeriesError: The text is no perpetual's; the message says what to write instead.
        """
        if not is_text(text):
            raise SeriesError(f"{shown(text)} is no text; write a series such as 'bingx:BTC/USDT:USDT'")
        exchange, colon, symbol = text.partition(":")
        if not colon or not _EXCHANGE.fullmatch(exchange) or not _SYMBOL.fullmatch(symbol):
            raise SeriesError(
                f"{text[:80]!r} is not a series; write EXCHANGE:BASE/QUOTE:SETTLE, such as bingx:BTC/USDT:USDT"
            )
        if ":" not in symbol:
            quote = symbol.partition("/")[2]
            raise SeriesError(f"{text} is spot; the perpetual is {text}:{quote}")
        return cls(exchange, symbol)


def check_group_name(name: str) -> None:
    """Refuse names that would not be one part of a key.

    Raises:
        SeriesError: The name is not of ``[A-Za-z0-9_-]{1,64}``.
    """
    if not NAME.fullmatch(name):
        raise SeriesError(f"group name {name[:80]!r} is not of [A-Za-z0-9_-]{{1,64}}")

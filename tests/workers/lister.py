"""An exchange that lists what it is told to."""

from typing import Any

from bus.errors import ExchangeUnavailable
from bus.messages import Contract
from tests.workers.exchange_fakes import FakeTime, Venue
from workers.contracts import ContractBook
from workers.exchanges.bingx import BingX
from workers.local_cache import LocalCache

HOUR_S = 3_600.0
BTC = "BTC/USDT:USDT"


class Lister(Venue):
    """Lists what it is told to, in turn; the last of it for ever."""

    def __init__(self, *answers: Any, name: str = "bingx") -> None:
        super().__init__()
        self.facts = BingX().facts if name == "bingx" else self.facts
        self.answers = list(answers)
        self.fetches = 0

    def contracts(self, http: Any) -> dict[str, Contract]:
        self.fetches += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {symbol: Contract(symbol=symbol, native_id=symbol) for symbol in answer}


def coins(count: int, first: int = 0) -> list[str]:
    return [f"C{number}/USDT:USDT" for number in range(first, first + count)]


def down(text: str = "bingx does not answer") -> list[Exception]:
    """What three tries bring while the exchange is away."""
    return [ExchangeUnavailable("bingx", text)] * 3


def book_of(venue: Lister, time: FakeTime, cache: LocalCache | None = None) -> ContractBook:
    return ContractBook(venue, None, cache or LocalCache(time), time)  # type: ignore[arg-type]

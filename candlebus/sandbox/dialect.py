"""What a venue's dialect is to the stand-in that speaks it."""

from typing import Literal, Protocol, get_args

from candlebus.sandbox.answers import Answer, Query, Thin, whole

#: What a request asks for; faults are planned by it.
Question = Literal["candles", "contracts", "ticker", "time", "status", "other"]
QUESTIONS: tuple[Question, ...] = get_args(Question)


class Dialect(Protocol):
    """The paths, parameters, shapes and error codes of one venue. Pure: it knows no socket and no clock."""

    def question(self, path: str) -> Question:
        """What the path asks for."""
        ...

    def answer(self, path: str, query: Query, now_ms: int, thin: Thin = whole) -> Answer:
        """The answer at an instant of the venue's clock.

        Args:
            thin: Takes rows away from a page of candles before it is written.
        """
        ...

    def too_many(self, now_ms: int, wait_ms: int, *, banned: bool = False) -> Answer:
        """The refusal of a client that asks too often and must wait; ``banned`` when it went on regardless."""
        ...

    def busy(self) -> Answer:
        """The answer of a venue that has no time now."""
        ...

    def overloaded(self) -> Answer:
        """The answer of a venue that has too much to do, whoever asks."""
        ...

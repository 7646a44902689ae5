"""Questions under way side by side, answers in the order of the questions."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


def answers(
    executor: Executor, ask: Callable[[_Question], _Answer], questions: Iterable[_Question], width: int
) -> Generator[_Answer, None, None]:
    """The answers, first question first, while up to ``width`` questions are under way.

    A question is taken from ``questions`` only when there is a place for it. When the caller stops early, or a question
    raises, those that have not left are dropped and those under way are waited for, so that nothing leaves later.

    Raises:
        Exception: Whatever a question raised, when its turn comes.
    """
    under_way: deque[Future[_Answer]] = deque()
    try:
        for question in questions:
            under_way.append(executor.submit(ask, question))
            if len(under_way) >= width:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()
        wait(under_way)

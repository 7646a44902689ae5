"""Asking an exchange again where that can help: a few tries, further and further apart, by chance, within a budget."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_any, wait_random_exponential
from tenacity.stop import stop_base

from bus.errors import ExchangeError

TRIES: Final = 3
#: Waits between tries are drawn from 0 to 0.5 s, 1 s, 2 s … and never longer than this.
_LONGEST_WAIT_S: Final = 8.0
#: While all workers together have tried too much again, one waits so often and so long for its turn.
_LOOKS: Final = 22
_LOOK_S: Final = 2.0
_T = TypeVar("_T")


def granted() -> bool:
    """Every further try is within a budget that nobody keeps."""
    return True


class _OutOfBudget(stop_base):
    """Ends the tries when the budget has had no room for another one for some seconds."""

    def __init__(self, may_retry: Callable[[], bool], sleep: Callable[[float], None]) -> None:
        self._may_retry = may_retry
        self._sleep = sleep

    def __call__(self, _: RetryCallState) -> bool:
        for _look in range(_LOOKS):
            if self._may_retry():
                return False
            self._sleep(_LOOK_S)
        return True


def tried(
    ask: Callable[[], _T],
    *,
    sleep: Callable[[float], None] = time.sleep,
    tries: int = TRIES,
    may_retry: Callable[[], bool] = granted,
) -> _T:
    """What ``ask`` returns, asked again while it raises an error that passes.

    Args:
        sleep: Waits between tries, in seconds.
        tries: How often to ask at most.
        may_retry: Whether the budget of all workers has room for another try, which it then counts; asked for some
            seconds before the error is left as it is.

    Raises:
        ExchangeError: The last one, saying how often was asked; one that does not pass at once.
    """
    retrying = Retrying(
        sleep=sleep,
        stop=stop_any(stop_after_attempt(tries), _OutOfBudget(may_retry, sleep)),
        wait=wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT_S),
        retry=retry_if_exception(lambda error: isinstance(error, ExchangeError) and error.retryable),
        reraise=True,
    )
    try:
        return retrying(ask)
    except ExchangeError as error:
        if not error.retryable:
            raise
        asked = int(retrying.statistics["attempt_number"])
        times = f"{asked} tries" if asked > 1 else "1 try"
        why = "" if asked >= tries else "; the workers' budget of further tries is used up"
        raise type(error)(error.exchange, f"{error} after {times}{why}", pause_ms=error.pause_ms) from error

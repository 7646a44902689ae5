"""Asking an exchange again where that can help: a few tries, further and further apart, by chance."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from bus.errors import ExchangeError

TRIES: Final = 3
#: Waits between tries are drawn from 0 to 0.5 s, 1 s, 2 s … and never longer than this.
_LONGEST_WAIT_S: Final = 8.0
_T = TypeVar("_T")


def tried(ask: Callable[[], _T], *, sleep: Callable[[float], None] = time.sleep, tries: int = TRIES) -> _T:
    """What ``ask`` returns, asked again while it raises an error that passes.

    Args:
        sleep: Waits between tries, in seconds.
        tries: How often to ask at most.

    Raises:
        ExchangeError: The last one, saying how often was asked; one that does not pass at once.
    """
    retrying = Retrying(
        sleep=sleep,
        stop=stop_after_attempt(tries),
        wait=wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT_S),
        retry=retry_if_exception(lambda error: isinstance(error, ExchangeError) and error.retryable),
        reraise=True,
    )
    try:
        return retrying(ask)
    except ExchangeError as error:
        if not error.retryable:
            raise
        raise type(error)(error.exchange, f"{error} after {tries} tries", pause_ms=error.pause_ms) from error

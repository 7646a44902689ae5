"""Refusals of the server that pass: it is away, full, read-only or busy, and will take the command later."""

import logging
import time
from collections.abc import Callable
from typing import Final

import redis as redis_library
from redis import Redis, RedisError
from redis.exceptions import OutOfMemoryError, ReadOnlyError

from bus import keys

_log = logging.getLogger(__name__)

_CODES: Final = ("OOM", "MISCONF", "BUSY", "LOADING", "NOREPLICAS", "MASTERDOWN", "READONLY")
_LOOK_S: Final = 1.0


def may_pass(error: BaseException) -> bool:
    """Whether the same command may be taken later, without a change of what was asked."""
    if isinstance(error, redis_library.ConnectionError | redis_library.TimeoutError | OutOfMemoryError | ReadOnlyError):
        return True
    # A pipeline puts the command before the words of the server.
    return isinstance(error, RedisError) and str(error).rpartition("caused error: ")[2].split(" ")[0] in _CODES


def wait_until_writable(redis: Redis, is_stopping: Callable[[], bool]) -> None:
    """Return once the server takes a write, or ``is_stopping``; says once why it must be waited for.

    Raises:
        RedisError: It refuses for a reason that does not pass.
    """
    is_told = False
    while not is_stopping():
        try:
            redis.set(keys.load_lease("nothing"), b"", xx=True)  # there is no such key, so nothing is written
        except RedisError as error:
            if not may_pass(error):
                raise
            if not is_told:
                _log.warning("server takes no writes", extra={"cause": str(error)})
            is_told = True
            time.sleep(_LOOK_S)
        else:
            return

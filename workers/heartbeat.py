"""How a worker says that it lives: every few seconds, also while it is busy with a job."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from redis import RedisError

_log = logging.getLogger(__name__)

#: An idle worker says so as often.
EVERY_S: Final = 5.0
#: A worker that has said nothing for so long is taken for dead.
LIFE_S: Final = 30


@contextmanager
def beating(beat: Callable[[], None], every_s: float = EVERY_S) -> Iterator[None]:
    """Call ``beat`` from a thread of its own until the context ends."""
    ended = threading.Event()
    thread = threading.Thread(target=_beat_until, args=(ended, beat, every_s), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat_until(ended: threading.Event, beat: Callable[[], None], every_s: float) -> None:
    while not ended.wait(every_s):
        try:
            beat()
        except RedisError as error:
            _log.warning("heartbeat not noted", extra={"cause": str(error)})

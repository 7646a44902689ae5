"""The Lua scripts of the bus: constants, one file each, which receive every value as KEYS or ARGV."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoPermissionError, NoScriptError

from bus.errors import BusUnavailable

_FOLDER = Path(__file__).parent
#: Workers and aligners find out within seconds that a server which began anew has forgotten the scripts.
_LOADED_BY_OTHERS_S: Final = 30.0
_LOOK_S: Final = 0.2
Argument = str | bytes | int | float


class Script:
    """A Lua script on a server."""

    def __init__(self, redis: Redis, name: str) -> None:
        """Read ``<name>.lua``; it is loaded on first use."""
        self._redis = redis
        self._text = (_FOLDER / f"{name}.lua").read_text()
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run the script in one step on the server.

        Raises:
            BusUnavailable: The server does not know it, this user may not load it, and nobody else does.
        """
        deadline = time.monotonic() + _LOADED_BY_OTHERS_S
        while True:
            try:
                return self._redis.evalsha(self._sha, len(keys), *keys, *args)
            except NoScriptError:
                if not load_all(self._redis):
                    _wait_for_others(deadline)

    def load(self) -> None:
        """Make it known to the server, so that :meth:`queue` finds it there."""
        self._redis.script_load(self._text)

    def queue(self, pipeline: Pipeline, keys: Sequence[str | bytes], args: Sequence[Argument]) -> None:
        """Add a run to a pipeline; its answer is NOSCRIPT where the server has forgotten the script."""
        pipeline.evalsha(self._sha, len(keys), *keys, *args)


def load_all(redis: Redis) -> bool:
    """Make every script known to the server, for those too who may not; False where this user may not either.

    Whoever may load a text may run any text, so only workers and aligners may (``bus/roles.py``).
    """
    try:
        for file in sorted(_FOLDER.glob("*.lua")):
            redis.script_load(file.read_text())
    except NoPermissionError:
        return False
    return True


def _wait_for_others(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise BusUnavailable(
            "the server has forgotten the scripts of the bus, and this user may not load them; a worker does: start one"
        )
    time.sleep(_LOOK_S)

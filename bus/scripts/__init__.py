"""The Lua scripts of the bus: constants, one file each, which receive every value as KEYS or ARGV."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis import Redis

_FOLDER = Path(__file__).parent
Argument = str | bytes | int | float


class Script:
    """A Lua script on a server."""

    def __init__(self, redis: Redis, name: str) -> None:
        """Read ``<name>.lua``; it is loaded on first use."""
        self._run = redis.register_script((_FOLDER / f"{name}.lua").read_text())

    def __call__(self, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run the script in one step on the server."""
        return self._run(keys=list(keys), args=list(args))

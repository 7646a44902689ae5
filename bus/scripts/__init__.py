"""The Lua scripts of the bus: constants, one file each, which receive every value as KEYS or ARGV."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis import Redis
from redis.client import Pipeline

_FOLDER = Path(__file__).parent
Argument = str | bytes | int | float


class Script:
    """A Lua script on a server."""

    def __init__(self, redis: Redis, name: str) -> None:
        """Read ``<name>.lua``; it is loaded on first use."""
        self._redis = redis
        self._text = (_FOLDER / f"{name}.lua").read_text()
        self._run = redis.register_script(self._text)

    def __call__(self, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run the script in one step on the server."""
        return self._run(keys=list(keys), args=list(args))

    def load(self) -> None:
        """Make it known to the server, so that :meth:`queue` finds it there."""
        self._redis.script_load(self._text)

    def queue(self, pipeline: Pipeline, keys: Sequence[str | bytes], args: Sequence[Argument]) -> None:
        """Add a run to a pipeline; its answer is NOSCRIPT where the server has forgotten the script."""
        pipeline.evalsha(self._run.sha, len(keys), *keys, *args)

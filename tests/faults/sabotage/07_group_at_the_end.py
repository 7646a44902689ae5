"""A consumer group that is missing is created at the stream's end."""

from typing import Any

from redis import Redis

_create = Redis.xgroup_create


def _at_the_end(self: Redis, name: Any, groupname: Any, id: Any = "$", **more: Any) -> Any:  # noqa: A002
    return _create(self, name, groupname, id="$", **more)


Redis.xgroup_create = _at_the_end  # type: ignore[method-assign, assignment]

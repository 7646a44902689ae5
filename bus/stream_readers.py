"""Which alignment groups the candle streams are kept for, as the streams themselves tell."""

from collections.abc import Iterator
from typing import Any, Final

from redis import Redis

from bus import keys

_AT_ONCE: Final = 250


def readers(redis: Redis) -> Iterator[tuple[str, str]]:
    """(stream, name of a group) for each consumer group ``align:*`` of a stream that was published to."""
    members: Any = redis.smembers(keys.streams())
    streams = sorted(member.decode(errors="replace") for member in members)
    for start in range(0, len(streams), _AT_ONCE):
        part = streams[start : start + _AT_ONCE]
        with redis.pipeline(transaction=False) as pipeline:
            for stream in part:
                pipeline.xinfo_groups(stream)
            answers: list[Any] = pipeline.execute(raise_on_error=False)
        for stream, groups in zip(part, answers, strict=True):
            if isinstance(groups, list):  # a stream that is gone has no readers
                names = (group["name"].decode(errors="replace") for group in groups)
                yield from ((stream, _bare(name)) for name in names if name.startswith(keys.ALIGN_GROUP_PREFIX))


def _bare(name: str) -> str:
    return name.removeprefix(keys.ALIGN_GROUP_PREFIX)

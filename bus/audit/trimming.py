"""P14: nothing was trimmed that a group ``align:*`` has not read, and every group reads its streams."""

from collections.abc import Iterator
from typing import Any

from redis import Redis, ResponseError

from bus import keys
from bus.audit.reading import AT_ONCE, entries_of, order
from bus.audit.report import Checked, Violation


def unread(redis: Redis, stream: str, checked: Checked) -> Iterator[Violation]:
    """Whether every entry that a group ``align:*`` still wants is there."""
    with redis.pipeline(transaction=True) as pipeline:
        pipeline.xinfo_groups(stream)
        pipeline.xrange(stream, count=1)
        pipeline.get(keys.sequence(stream))
        groups, first, last = pipeline.execute(raise_on_error=False)
    if isinstance(groups, ResponseError):  # the stream is gone, and with it its groups
        return
    first_number = int(first[0][1].get(b"s", b"0")) if first else int(last or 0) + 1
    for group in groups:
        if group["name"].startswith(keys.ALIGN_GROUP_PREFIX.encode()):
            checked["readers"] += 1
            yield from _before_delivery(stream, group, first, first_number)
            yield from _pending(redis, stream, group["name"].decode())


def _before_delivery(stream: str, group: dict[str, Any], first: list[Any], number: int) -> Iterator[Violation]:
    """Whether entries went before they were delivered; told by the server's count of what was."""
    delivered, count = group["last-delivered-id"].decode(), group.get("entries-read")
    if delivered == "0-0" or count is None or (first and order(first[0][0].decode()) <= order(delivered)):
        return
    if number > count + 1:
        name = group["name"].decode()
        expected = f"entry number {count + 1}, which {name} has not read"
        yield Violation(promise="P14", stream=stream, group=_bare(name), expected=expected, found=f"{number} is next")


def _pending(redis: Redis, stream: str, name: str) -> Iterator[Violation]:
    """Whether the entries that were delivered and not acknowledged are there."""
    start = "-"
    while True:
        found: Any = redis.xpending_range(stream, name, min=start, max="+", count=AT_ONCE)
        ids = [one["message_id"].decode() for one in found]
        for entry_id, fields in entries_of(redis, stream, ids):
            if fields is None:
                expected = f"an entry that {name} has not acknowledged"
                where: dict[str, Any] = {"stream": stream, "entry_id": entry_id, "group": _bare(name)}
                yield Violation(promise="P14", **where, expected=expected, found="no such entry")
        if len(ids) < AT_ONCE:
            return
        start = f"({ids[-1]}"


def readers(redis: Redis, group: str, streams: list[str]) -> Iterator[Violation]:
    """Whether a group reads each of its streams, so that they are kept for it."""
    for stream in streams:
        try:
            found: Any = redis.xinfo_groups(stream)
        except ResponseError:
            found = []
        name = keys.align_consumer_group(group)
        if name.encode() not in [one["name"] for one in found]:
            expected = f"a consumer group {name}"
            yield Violation(promise="P14", stream=stream, group=group, expected=expected, found="none")


def _bare(name: str) -> str:
    return name.removeprefix(keys.ALIGN_GROUP_PREFIX)

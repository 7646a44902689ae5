"""P1: the entries of a stream are numbered without a hole, and the last number is the one on record."""

from collections.abc import Iterator
from typing import Any

from redis import Redis

from bus import keys
from bus.audit.reading import Fields, entries, set_aside_ids
from bus.audit.report import Checked, Violation


def numbers(redis: Redis, stream: str, checked: Checked) -> Iterator[Violation]:
    """Whether each entry of a stream has the number after that of the entry before it."""
    yield from _last(redis, stream)
    set_aside = set_aside_ids(redis, stream)
    expected: int | None = None
    for entry_id, fields in entries(redis, stream):
        number = _number(fields)
        if number is None and entry_id in set_aside:
            continue  # somebody else's, and told as such
        checked["numbered entries"] += 1
        if number is None or (expected is not None and number != expected):
            wanted = f"number {expected}" if expected is not None else "a number"
            found = f"number {number}" if number is not None else "none"
            yield Violation(promise="P1", stream=stream, entry_id=entry_id, expected=wanted, found=found)
        expected = (number if number is not None else expected or 0) + 1


def _last(redis: Redis, stream: str) -> Iterator[Violation]:
    with redis.pipeline(transaction=True) as pipeline:
        pipeline.xrevrange(stream, count=1)
        pipeline.get(keys.sequence(stream))
        newest, on_record = pipeline.execute()
    number = _number(newest[0][1]) if newest else None
    if number is not None and int(on_record or 0) != number:
        yield Violation(
            promise="P1",
            stream=stream,
            entry_id=newest[0][0].decode(),
            expected=f"number {int(on_record or 0)}, the last one on record",
            found=f"number {number}",
        )


def _number(fields: Fields) -> int | None:
    text: Any = fields.get(b"s", b"")
    return int(text) if text.isdigit() and len(text) <= 19 else None

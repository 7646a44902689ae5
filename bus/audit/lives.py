"""P3: no unfinished request is without somebody to look after it; P16: those that ended are forgotten in time."""

from collections.abc import Iterator
from typing import get_args

from redis import Redis

from bus import keys
from bus.audit.reading import Record, record_of
from bus.audit.report import Checked, Violation
from bus.requests import ENDED, State


def life(redis: Redis, request_id: str, checked: Checked) -> Iterator[Violation]:
    """Whether a request is looked after until it has ended, and lives as long as promised from then on."""
    record = record_of(redis, request_id)
    if record is None:
        return
    checked["records"] += 1
    state = record.fields.get("state", "")
    if state not in get_args(State):
        yield _wrong("P3", request_id, "a state that there is", repr(state[:40]))
    elif state in ENDED:
        yield from _of_ended(record, state)
    else:
        yield from _of_live(record, state)


def _of_live(record: Record, state: str) -> Iterator[Violation]:
    if not record.is_watched:
        yield _wrong("P3", record.request_id, f"{state} and among the open requests", "nobody who looks after it")
    if record.life_ms >= 0 or record.listed_life_ms >= 0:
        yield _wrong("P3", record.request_id, f"{state} and kept", "a record that runs out before it ends")


def _of_ended(record: Record, state: str) -> Iterator[Violation]:
    if state == "failed" and not record.fields.get("error"):
        yield _wrong("P3", record.request_id, "failed with a reason", "no reason")
    for what, life_ms in (("record", record.life_ms), ("list of pages", record.listed_life_ms)):
        if life_ms == -1 or life_ms > keys.REQUEST_TTL_MS:
            there = "without an end" if life_ms == -1 else f"of {life_ms} ms"
            promised = f"a life of at most {keys.REQUEST_TTL_MS} ms after it ended"
            yield _wrong("P16", record.request_id, promised, f"a {what} {there}")


def _wrong(promise: str, request_id: str, expected: str, found: str) -> Violation:
    return Violation(promise=promise, request_id=request_id, expected=expected, found=found)

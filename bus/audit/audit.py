"""The promises recomputed from the server alone: every stream, every request, every group."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, Final

from redis import Redis

from bus import keys
from bus.audit.bounds import lengths
from bus.audit.candles import candles
from bus.audit.checkpoints import checkpoint
from bus.audit.lives import life
from bus.audit.numbers import numbers
from bus.audit.pages import pages
from bus.audit.report import AuditReport, Check, Checked, Violation
from bus.audit.rows import rows
from bus.audit.trimming import readers, unread
from bus.errors import GroupError
from bus.group_state import streams_of
from bus.groups import GroupBook
from bus.scan import names_under

#: Of one stream, request or group; more would only say the same again.
_MOST_SUSPECTS: Final = 1_000


def audit(redis: Redis, *, first_only: bool = False) -> AuditReport:
    """Recompute the promises; reads only, and may be run while others publish.

    What looks wrong is looked at a second time, so that something that changed while it was read is no violation.

    Args:
        first_only: Stop at the first violation.
    """
    checked: Checked = Checked()
    found = violations(redis, checked)
    return AuditReport(violations=list(islice(found, 1 if first_only else None)), checked=dict(checked))


def violations(redis: Redis, checked: Checked) -> Iterator[Violation]:
    """The violations as they are found; what was looked at is counted in ``checked``."""
    for check in _checks(redis, checked):
        suspects = list(islice(check(checked), _MOST_SUSPECTS))
        if suspects:
            still = {suspect.place for suspect in islice(check(Checked()), _MOST_SUSPECTS)}
            yield from (suspect for suspect in suspects if suspect.place in still)


def _checks(redis: Redis, checked: Checked) -> Iterator[Check]:
    members: Any = redis.smembers(keys.streams())
    streams = sorted(stream.decode() for stream in members)
    for stream in streams:
        checked["streams"] += 1
        yield from (partial(check, redis, stream) for check in (numbers, pages, candles, unread))
    for request_id in names_under(redis, keys.request("")):
        yield from (partial(check, redis, request_id) for check in (life, checkpoint))
    for name in GroupBook(redis).names():
        yield partial(_group, redis, name)
    yield partial(lengths, redis)


def _group(redis: Redis, name: str, checked: Checked) -> Iterator[Violation]:
    """All that is promised of an alignment group; nothing of one that was removed meanwhile."""
    try:
        group = GroupBook(redis).get(name)
    except GroupError:
        return
    yield from readers(redis, name, list(streams_of(group).values()))
    for stream in (keys.aligned(name), keys.late(name)):
        yield from numbers(redis, stream, checked)
    yield from rows(redis, group, checked)

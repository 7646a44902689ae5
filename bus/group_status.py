"""How far an alignment group is, and who holds it up, for people and programs that look at it."""

from typing import Any

import msgspec
from redis import Redis, ResponseError

from bus import keys
from bus.clock import RedisClock
from bus.errors import DecodeError
from bus.group_state import Restored, restored, streams_of
from bus.membership import Piece, normalized
from bus.messages import Group
from bus.timeframes import timeframe


class GroupStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a group is.

    Attributes:
        watermarks: Series → first instant that is not settled yet, ms.
        lags_ms: Series → how far its watermark is behind the furthest, ms.
        pending: Series → candles read and not yet in a row.
        deferred: Series → entries far ahead, to be read again when their time comes.
        unread: Series → entries that the group has not read; None where the server cannot tell.
        late: Series → candles that came after their row was final.
        corrections: Series → candles that a newer version changed before their row was final.
        members: From when on rows are made of which series.
        held_by: The series that all others wait for; empty where none does.
        held_ms: For how long, by the exchange's time of what was fetched last.
        decided_ms: Rows before this instant are final, ms.
        rows: Rows written since the group began.
        owner: The aligner that holds the group; empty where none does.
    """

    group: Group
    watermarks: dict[str, int]
    lags_ms: dict[str, int]
    pending: dict[str, int]
    deferred: dict[str, int]
    unread: dict[str, int | None]
    late: dict[str, int]
    corrections: dict[str, int]
    members: list[Piece]
    held_by: str
    held_ms: int
    decided_ms: int
    rows: int
    owner: str

    @property
    def is_held(self) -> bool:
        """Whether a series is so far behind that it cannot merely be the last to publish."""
        step_ms = timeframe(self.group.timeframe).duration_ms
        return bool(self.held_by) and (self.held_ms >= step_ms or self.lags_ms[self.held_by] >= 2 * step_ms)


def status_of(redis: Redis, group: Group) -> GroupStatus:
    """How far a group is.

    Raises:
        DecodeError: Its state is damaged, or of a layout that this version does not know.
    """
    found = _found(redis, group)
    aligner, progress = found.aligner, dict(zip(group.series, found.progress, strict=True))
    furthest_ms = max(one.settled_ms for one in progress.values())
    return GroupStatus(
        group=group,
        watermarks={one: aligner.settled_ms(one) for one in group.series},
        lags_ms={one: furthest_ms - each.settled_ms for one, each in progress.items()},
        pending={one: each.pending for one, each in progress.items()},
        deferred={one: each.deferred for one, each in progress.items()},
        unread={one: _unread(redis, stream, group.name) for one, stream in streams_of(group).items()},
        late={one: aligner.late_count(one) for one in group.series},
        corrections={one: aligner.corrections(one) for one in group.series},
        members=members_of(redis, group, found),
        held_by=aligner.members.holder() or "",
        held_ms=aligner.members.held_ms(),
        decided_ms=aligner.decided_ms,
        rows=found.rows,
        owner=_owner(redis, group.name),
    )


def _found(redis: Redis, group: Group) -> Restored:
    found = restored(redis, [group])[0]
    if isinstance(found, DecodeError):
        raise found
    return found


def members_of(redis: Redis, group: Group, found: Restored | None = None) -> list[Piece]:
    """The membership log of a group, oldest piece first; :func:`bus.membership.align_pieces` takes it."""
    found = found or _found(redis, group)
    bodies: Any = redis.lrange(keys.group_members(group.name), 0, -1)
    begun = [msgspec.json.decode(body, type=Piece) for body in bodies]
    return normalized([Piece(group.start_ms, group.series), *begun, *found.aligner.log])


def _unread(redis: Redis, stream: str, name: str) -> int | None:
    try:
        found: Any = redis.xinfo_groups(stream)
    except ResponseError:  # the stream is gone
        return None
    lags = {one["name"].decode(): one.get("lag") for one in found}
    return lags.get(keys.align_consumer_group(name))


def _owner(redis: Redis, name: str) -> str:
    lease: Any = redis.hmget(keys.group_lease(name), ["owner", "until"])
    held = lease[1] is not None and int(lease[1]) > RedisClock(redis).now_ms()
    return lease[0].decode() if held and lease[0] else ""

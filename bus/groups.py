"""Alignment groups: define, list and remove them, see how far they are, and who owns them."""

from typing import Any, Final

import msgspec
from redis import Redis, ResponseError

from bus import keys
from bus.alignment import effective_tolerance_ms
from bus.codec import decode, encode
from bus.errors import GroupError
from bus.messages import Group, Series, check_group_name
from bus.scripts import Script
from bus.stream_alignment import StreamAligner
from bus.timeframes import timeframe as timeframe_of

#: An aligner that does not renew its ownership for so long has lost it.
GROUP_LEASE_MS: Final = 10_000
_MOST_SERIES: Final = 64


class GroupStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a group is.

    Attributes:
        watermarks: Series → first instant that is not settled yet, ms.
        pending: Series → candles read and not yet in a row.
        late: Series → candles that came after their row was written.
        decided_ms: Rows before this instant are final, ms.
        rows: Rows written since the group began.
        owner: The aligner that holds the group; empty where none does.
    """

    group: Group
    watermarks: dict[str, int]
    pending: dict[str, int]
    late: dict[str, int]
    decided_ms: int
    rows: int
    owner: str


class GroupState(msgspec.Struct, frozen=True, kw_only=True, tag="group-state.v1", tag_field="type"):
    """What a group has read and not yet written, as its aligner keeps it on the server.

    Attributes:
        aligner: ``StreamAligner.state()``.
        rows: Rows written since the group began.
    """

    aligner: dict[str, Any]
    rows: int = 0


class GroupBook:
    """Every alignment group on the server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._hold = Script(redis, "hold_group")

    def add(self, name: str, series: list[str], timeframe: str, *, start_ms: int, tolerance_ms: int = 60_000) -> Group:
        """Define a group; its aligner begins to read at once, and the streams keep what it has not read.

        Args:
            start_ms: First open time that may stand in a row, rounded up to the grid.
            tolerance_ms: Greatest distance of the open times of a row, inclusive; clamped below half the timeframe.

        Raises:
            GroupError: The name is taken, or the series do not make a group.
            RequestError: A name, series or timeframe is malformed.
        """
        check_group_name(name)
        frame = timeframe_of(timeframe)
        parsed = list(dict.fromkeys(Series.parse(one) for one in series))
        if not 2 <= len(parsed) <= _MOST_SERIES:
            raise GroupError(f"a group needs 2 to {_MOST_SERIES} different series, not {len(parsed)}")
        if tolerance_ms < 0 or start_ms < 0:
            raise GroupError(f"neither tolerance {tolerance_ms} ms nor start {start_ms} ms may be negative")
        group = Group(
            name=name,
            series=tuple(str(one) for one in parsed),
            timeframe=timeframe,
            start_ms=frame.ceil(start_ms),
            tolerance_ms=tolerance_ms,
        )
        if not self._redis.set(keys.group(name), encode(group), nx=True):
            raise GroupError(f"group {name!r} exists; remove it first: candlebus group remove {name}")
        self._begin_reading(group)
        self._redis.sadd(keys.groups(), name)
        return group

    def _begin_reading(self, group: Group) -> None:
        for stream in streams_of(group).values():
            try:
                self._redis.xgroup_create(stream, keys.align_consumer_group(group.name), id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def get(self, name: str) -> Group:
        """The definition of a group.

        Raises:
            GroupError: There is no such group.
        """
        body: Any = self._redis.get(keys.group(name))
        if body is None:
            known = " ".join(self.names()) or "none"
            raise GroupError(f"no group {name!r}; known: {known}")
        return decode(body, Group)

    def names(self) -> list[str]:
        """The names of all groups, sorted."""
        members: Any = self._redis.smembers(keys.groups())
        return sorted(name.decode() for name in members)

    def remove(self, name: str) -> None:
        """Forget a group, its rows and its state.

        Raises:
            GroupError: There is no such group.
        """
        group = self.get(name)
        self._redis.srem(keys.groups(), name)
        gone = [keys.group(name), keys.group_state(name), keys.group_lease(name)]
        self._redis.delete(*gone, keys.aligned(name), keys.sequence(keys.aligned(name)))
        for stream in streams_of(group).values():
            self._redis.xgroup_destroy(stream, keys.align_consumer_group(name))

    def hold(self, name: str, owner: str) -> int:
        """Take or keep a group for a lease; its fence, or 0 while somebody else owns it."""
        return int(self._hold([keys.group_lease(name)], [owner, GROUP_LEASE_MS]))

    def give_up(self, name: str) -> None:
        """End the ownership of a group, so that another aligner takes it at once."""
        self._redis.hset(keys.group_lease(name), "until", 0)

    def state(self, group: Group) -> tuple[StreamAligner, int]:
        """The group's aligner as it was at its last commit, and the rows written so far."""
        body: Any = self._redis.get(keys.group_state(group.name))
        if body is None:
            return new_aligner(group), 0
        kept = msgspec.msgpack.decode(body, type=GroupState)
        return StreamAligner.restore(kept.aligner), kept.rows

    def status(self, name: str) -> GroupStatus:
        """How far a group is.

        Raises:
            GroupError: There is no such group.
        """
        group = self.get(name)
        aligner, rows = self.state(group)
        lease: Any = self._redis.hmget(keys.group_lease(name), ["owner", "until"])
        seconds, microseconds = self._redis.time()
        held = lease[1] is not None and int(lease[1]) > int(seconds) * 1000 + int(microseconds) // 1000
        return GroupStatus(
            group=group,
            watermarks={one: aligner.settled_ms(one) for one in group.series},
            pending={one: aligner.pending(one) for one in group.series},
            late={one: aligner.late_count(one) for one in group.series},
            decided_ms=aligner.decided_ms,
            rows=rows,
            owner=lease[0].decode() if held and lease[0] else "",
        )


def streams_of(group: Group) -> dict[str, str]:
    """Series → the stream of its candles."""
    parsed = {name: Series.parse(name) for name in group.series}
    return {name: keys.candles(one.exchange, group.timeframe, one.symbol) for name, one in parsed.items()}


def new_aligner(group: Group) -> StreamAligner:
    """An aligner of the group that has read nothing yet."""
    step_ms = timeframe_of(group.timeframe).duration_ms
    return StreamAligner(group.series, step_ms, effective_tolerance_ms(group.tolerance_ms, step_ms), group.start_ms)

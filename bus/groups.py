"""Alignment groups: define, find and remove them."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from redis import Redis, ResponseError

from bus import keys
from bus.codec import decode, encode
from bus.errors import DecodeError, GroupError
from bus.group_state import streams_of
from bus.group_status import GroupStatus, status_of
from bus.messages import Group
from bus.scripts import Script
from bus.series import NAME, Series, check_group_name
from bus.stream_readers import readers
from bus.timeframes import timeframe as timeframe_of

_log = logging.getLogger(__name__)

_MOST_SERIES: Final = 64
_LONGEST_STALL_S: Final = 31 * 24 * 3600


class GroupBook:
    """Every alignment group on the server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._remove = Script(redis, "remove_group")

    def add(
        self,
        name: str,
        series: list[str],
        timeframe: str,
        *,
        start_ms: int,
        tolerance_ms: int = 60_000,
        min_sources: int | None = None,
        detach_after_s: int | None = None,
    ) -> Group:
        """Define a group; its aligner begins to read at once, and the streams keep what it has not read.

        Args:
            start_ms: First open time that may stand in a row, rounded up to the grid.
            tolerance_ms: Greatest distance of the open times of a row, inclusive; clamped below half the timeframe.
            min_sources: Least number of candles that make a row; None for one of every series.
            detach_after_s: Leave a series out that the others have waited for so long, by the time of the exchanges'
                answers, until it is back; None to wait for ever.

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
        _check_policy(len(parsed), min_sources, detach_after_s)
        group = Group(
            name=name,
            series=tuple(str(one) for one in parsed),
            timeframe=timeframe,
            start_ms=frame.ceil(start_ms),
            tolerance_ms=tolerance_ms,
            min_sources=None if min_sources == len(parsed) else min_sources,
            detach_after_s=detach_after_s,
        )
        if not self._redis.set(keys.group(name), encode(group), nx=True):
            raise GroupError(f"group {name!r} exists; remove it first: candlebus group remove {name}")
        self.begin_reading(group)
        self._redis.sadd(keys.groups(), name)
        return group

    def begin_reading(self, group: Group) -> None:
        """See that the group reads its streams, from their first entry on where it does not yet."""
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
            DecodeError: Its definition cannot be read.
        """
        bodies: Any = self._redis.mget([keys.group(name)])
        body = bodies[0]
        if body is None and self._redis.exists(keys.group(name)):
            body = b""  # another kind of key
        if body is None:
            known = " ".join(self.names()) or "none"
            raise GroupError(f"no group {name!r}; known: {known}")
        return _readable(name, body)

    def several(self, names: Sequence[str]) -> list[Group]:
        """The definitions of those of the groups that exist; one that cannot be read is reported and left out."""
        bodies: Any = self._redis.mget([keys.group(name) for name in names]) if names else []
        found = []
        for name, body in zip(names, bodies, strict=True):
            try:
                found += [_readable(name, body)] if body is not None else []
            except DecodeError as error:
                _log.error("group left out", extra={"group": name, "cause": str(error)})
        return found

    def names(self) -> list[str]:
        """The names of all groups, sorted."""
        members: Any = self._redis.smembers(keys.groups())
        return sorted(name for name in (member.decode(errors="replace") for member in members) if NAME.fullmatch(name))

    def remove(self, name: str) -> None:
        """Forget a group, its rows and its state, in one step.

        Also one whose definition cannot be read, and what is left of one that has none any more.

        Raises:
            GroupError: There is no such group.
        """
        read = {stream for stream, reader in readers(self._redis) if reader == name}
        try:
            read |= set(streams_of(self.get(name)).values())
        except DecodeError as error:
            _log.warning("group removed unread", extra={"group": name, "cause": str(error)})
        except GroupError:
            if not read:
                raise
        gone = [keys.group(name), keys.group_state(name), keys.group_lease(name)]
        gone += [keys.group_members(name), keys.group_tries(name)]
        streams = [keys.aligned(name), keys.late(name)]
        names = [keys.groups(), *read, *gone, *streams, *map(keys.sequence, streams)]
        self._remove(names, [name, keys.align_consumer_group(name), len(read)])

    def strays(self) -> dict[str, list[str]]:
        """Group → streams that are kept for it though it does not read them, or is no group any more."""
        found: dict[str, list[str]] = {}
        for stream, name in readers(self._redis):
            found.setdefault(name, []).append(stream)
        read = {group.name: streams_of(group).values() for group in self.several(list(found))}
        unreadable = [name for name in found.keys() - read.keys() if self._redis.exists(keys.group(name))]
        strays = {name: [one for one in streams if one not in read.get(name, ())] for name, streams in found.items()}
        return {name: streams for name, streams in strays.items() if streams and name not in unreadable}

    def status(self, name: str) -> GroupStatus:
        """How far a group is.

        Raises:
            GroupError: There is no such group.
        """
        return status_of(self._redis, self.get(name))

    def statuses(self) -> list[GroupStatus]:
        """How far all groups are, by name; what is damaged of one is reported, and the group left out."""
        found = []
        for name in self.names():
            try:
                found.append(self.status(name))
            except GroupError:
                continue  # removed between the two looks
            except DecodeError as error:
                _log.error("group left out", extra={"group": name, "cause": str(error)})
        return found


def _readable(name: str, body: bytes) -> Group:
    try:
        group = decode(body, Group)
    except DecodeError as error:
        raise type(error)(f"group {name} cannot be read ({error}); remove it: candlebus group remove {name}") from error
    if group.name != name:
        raise DecodeError(f"group {name} calls itself {group.name[:80]!r}; remove it: candlebus group remove {name}")
    return group


def _check_policy(series: int, min_sources: int | None, detach_after_s: int | None) -> None:
    if min_sources is not None and not 1 <= min_sources <= series:
        raise GroupError(f"a row of {series} series has 1 to {series} candles, not {min_sources}")
    if detach_after_s is not None and not 1 <= detach_after_s <= _LONGEST_STALL_S:
        raise GroupError(f"a stall is detached after 1 to {_LONGEST_STALL_S} s, not {detach_after_s} s")

"""What an alignment group has read and not yet written, as it lies on the server between two commits."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from redis import Redis, ResponseError

from bus import keys
from bus.alignment import effective_tolerance_ms
from bus.errors import DecodeError
from bus.messages import Group
from bus.series import Series
from bus.stream_alignment import StreamAligner
from bus.timeframes import timeframe

#: Decided candles of each series that the state carries; rows of older ones are looked up in the aligned stream.
_REMEMBER = 16


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a group is with one series.

    Attributes:
        read_id: The last entry that was read of its stream.
        settled_ms: End of what its entries settle without a break, far ahead ones included, ms.
        pending: Candles read and not yet in a row.
        deferred: Entries so far ahead that they are read again when their time comes.
        loaded: Entries whose candles are in memory; they and the deferred ones are unacknowledged.
    """

    read_id: str
    settled_ms: int
    pending: int
    deferred: int
    loaded: int = 0


class GroupState(msgspec.Struct, frozen=True, kw_only=True, tag="group-state.v2", tag_field="type"):
    """A group after a commit. Candles that wait are not in it: their entries are unacknowledged and are read again.

    Attributes:
        aligner: ``StreamAligner.state()``.
        rows: Rows written since the group began.
        progress: One for each series, in their order.
        horizon_ms: Batches that begin before it are in memory; later ones are put off.
    """

    aligner: dict[str, Any]
    rows: int
    progress: list[Progress]
    horizon_ms: int


class Restored(NamedTuple):
    """A group as its last commit left it.

    Attributes:
        commit: Number of that commit, 0 before the first.
        written_ms: Open time of the last row that was written, ms, where the state does not tell; -1 where it does.
        ended: How many owners in a row ended, or failed, within a minute after they had taken the group.
    """

    aligner: StreamAligner
    rows: int
    progress: list[Progress]
    horizon_ms: int
    commit: int
    written_ms: int
    ended: int


_DECODER = msgspec.msgpack.Decoder(GroupState)


def restored(redis: Redis, groups: Sequence[Group]) -> list[Restored | DecodeError]:
    """The groups as their last commits left them, in one trip; an error for one whose state cannot be read."""
    with redis.pipeline(transaction=True) as pipeline:
        for group in groups:
            pipeline.get(keys.group_state(group.name))
            pipeline.hmget(keys.group_lease(group.name), ["commit", "ended"])
        answers: list[Any] = pipeline.execute(raise_on_error=False)
    return [_restored(redis, *each) for each in zip(groups, answers[::2], answers[1::2], strict=True)]


def _restored(redis: Redis, group: Group, body: Any, counts: Any) -> Restored | DecodeError:
    try:
        _check_answers(body, counts)
        commit, ended = (int(count or 0) for count in counts)
        if body is None:
            progress = [Progress("0-0", group.start_ms, 0, 0) for _ in group.series]
            written_ms = _last_written_ms(redis, group) if commit else -1
            return Restored(new_aligner(group), 0, progress, group.start_ms, commit, written_ms, ended)
        state = _DECODER.decode(body)
        aligner = StreamAligner.restore(state.aligner)
        series = list(state.aligner["sources"])
        if series != list(group.series) or len(state.progress) != len(series):
            return DecodeError(f"group {group.name}: its state is of {' '.join(series)}; remove the group and add it")
        return Restored(aligner, state.rows, state.progress, state.horizon_ms, commit, -1, ended)
    except (msgspec.MsgspecError, ResponseError, DecodeError, ValueError) as error:
        return DecodeError(f"group {group.name}: not a state that this version reads ({error})")


def _check_answers(*answers: Any) -> None:
    """Raise what the server answered instead of a value, such as that a key is of another kind."""
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer


def _last_written_ms(redis: Redis, group: Group) -> int:
    """The open time of the last row of a group whose state was lost, ms; -1 where it wrote none."""
    newest: Any = redis.xrevrange(keys.aligned(group.name), count=1)
    return int(newest[0][0].partition(b"-")[0]) if newest else -1


def streams_of(group: Group) -> dict[str, str]:
    """Series → the stream of its candles."""
    parsed = {name: Series.parse(name) for name in group.series}
    return {name: keys.candles(one.exchange, group.timeframe, one.symbol) for name, one in parsed.items()}


def new_aligner(group: Group) -> StreamAligner:
    """An aligner of the group that has read nothing yet."""
    step_ms = timeframe(group.timeframe).duration_ms
    options: dict[str, Any] = {"remember": _REMEMBER, "min_sources": group.min_sources}
    return StreamAligner(group.series, step_ms, tolerance_ms_of(group), group.start_ms, **options)


def tolerance_ms_of(group: Group) -> int:
    """The tolerance by which the group is aligned, ms: what was asked for, clamped below half of the timeframe."""
    return effective_tolerance_ms(group.tolerance_ms, timeframe(group.timeframe).duration_ms)

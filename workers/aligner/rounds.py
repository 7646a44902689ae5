"""One round of several groups: read, align, commit, new entries and commits each in one trip for all of them."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

import redis as redis_library
from redis import Redis
from redis.client import Pipeline

from bus import keys
from bus.codec import decode
from bus.errors import CandleBusError
from bus.messages import AlignedBatch
from bus.scripts import Argument, Script
from bus.streams import Entry
from workers.aligner.group import READ_COUNT, Commit, Fields, GroupAligner
from workers.aligner.portions import MOST_ENTRIES, portions

_log = logging.getLogger(__name__)

#: The consumer of every group: its owner, whoever that is, goes on with what the former owner had read.
CONSUMER: Final = "aligner"
_SERVER_AWAY: Final = (redis_library.ConnectionError, redis_library.TimeoutError)
#: Aligned entries that are looked up to tell redelivered candles from late ones.
_LOOK_UP: Final = 1_000

Outcome = Literal["committed", "idle", "lost", "stale", "removed", "refused"]


class Round(NamedTuple):
    """What became of the groups of a round.

    Attributes:
        outcomes: One for each group: ``lost`` to another aligner; ``stale``: the server does not have our last commit,
            take the group up anew; ``removed``: there is no such group any more; ``refused``: the server or the group
            found an error, and what is in memory of it is worth nothing.
        read_ids: Stream → the newest entry that was read of it.
    """

    outcomes: list[Outcome]
    read_ids: dict[str, str]


class Rounds:
    """Reads and commits for groups that one process holds."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._read_owned = Script(redis, "read_owned")
        self._commit = Script(redis, "commit_rows")
        for script in (self._read_owned, self._commit):
            script.load()

    def run(self, groups: Sequence[GroupAligner]) -> Round:
        """Read once for each group, and commit what it makes of that.

        Args:
            groups: Together they read at most ``MOST_ENTRIES``, or there is but one.

        Raises:
            ConnectionError, TimeoutError: redis-py's own: the server went away; what it holds of the round is unknown.
        """
        outcomes: dict[int, Outcome] = {}
        read_ids = self._read(groups, outcomes)
        self._commit_all([group for group in groups if id(group) not in outcomes], outcomes)
        return Round([outcomes[id(group)] for group in groups], read_ids)

    def _read(self, groups: Sequence[GroupAligner], outcomes: dict[int, Outcome]) -> dict[str, str]:
        rereads = [group.rereads() for group in groups]
        with self._redis.pipeline(transaction=False) as pipeline:
            for group in groups:
                self._queue_read(pipeline, group)
            answers = pipeline.execute(raise_on_error=False)
        read_ids: dict[str, str] = {}
        for group, again, new in zip(groups, rereads, answers, strict=True):
            if isinstance(new, int):
                outcomes[id(group)] = _lost("read refused", group, new)
                continue
            try:
                _give(group, _entries(new), read_ids)
                self._give_again(group, again)
                self._read_again(group)
            except _SERVER_AWAY:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is in an entry, the other groups go on
                outcomes[id(group)] = _failed(group, error)
        return read_ids

    def _queue_read(self, pipeline: Pipeline, group: GroupAligner) -> None:
        wanted, name = group.reads(), group.group.name
        about: list[Argument] = [group.fence, keys.align_consumer_group(name), CONSUMER, READ_COUNT, *wanted.values()]
        self._read_owned.queue(pipeline, [keys.group_lease(name), *wanted], about)

    def _give_again(self, group: GroupAligner, again: Sequence[tuple[str, str]]) -> None:
        """Reads what was put off; of one series any number of entries may begin at the same time."""
        for part in portions(again):
            with self._redis.pipeline(transaction=False) as pipeline:
                for stream, entry_id in part:
                    pipeline.xrange(stream, entry_id, entry_id)
                answers = pipeline.execute()
            for (stream, entry_id), found in zip(part, answers, strict=True):
                group.take_again(stream, entry_id, found[0][1] if found else None)

    def _read_again(self, group: GroupAligner) -> None:
        for stream in group.take_lost():
            self._redis.xgroup_setid(stream, keys.align_consumer_group(group.group.name), id="0")

    def _commit_all(self, groups: Sequence[GroupAligner], outcomes: dict[int, Outcome]) -> None:
        commits: list[tuple[GroupAligner, Commit]] = []
        for group in groups:
            try:
                self._settle_doubt(group)
                commit = group.commit()
            except _SERVER_AWAY:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                outcomes[id(group)] = _failed(group, error)
                continue
            outcomes[id(group)] = "idle"
            commits += [(group, commit)] if commit is not None else []
        with self._redis.pipeline(transaction=False) as pipeline:
            for _, commit in commits:
                self._commit.queue(pipeline, *commit)
            answers = pipeline.execute(raise_on_error=False)
        outcomes |= {id(one): _outcome(one, answer) for (one, _), answer in zip(commits, answers, strict=True)}

    def _settle_doubt(self, group: GroupAligner) -> None:
        """Looks up in the rows that were written what the group itself has forgotten."""
        from_ms = group.doubt_ms()
        if from_ms is None:
            return
        # An aligned entry holds up to a third of a page for each series.
        at_once = max(1, MOST_ENTRIES // len(group.streams))
        for written in self._written(group.group.name, max(0, from_ms - group.group.tolerance_ms), at_once):
            group.settle_doubt(written)

    def _written(self, name: str, from_ms: int, at_once: int) -> Iterator[list[AlignedBatch]]:
        """The aligned entries of a group from that open time, ms, on, so many at once."""
        stream, start, left = keys.aligned(name), f"{from_ms}-0", _LOOK_UP
        while left > 0:
            found: Any = self._redis.xrange(stream, start, count=min(at_once, left))
            yield [decode(Entry.of(stream, raw).body, AlignedBatch) for raw in found]
            if len(found) < at_once:
                return
            start, left = f"({found[-1][0].decode()}", left - len(found)


def _give(group: GroupAligner, found: dict[str, list[tuple[str, Fields]]], read_ids: dict[str, str]) -> None:
    group.take(found)
    read_ids |= {stream: entries[-1][0] for stream, entries in found.items() if entries}


def _entries(answer: Any) -> dict[str, list[tuple[str, Fields]]]:
    """What a consumer group's read brought: stream → entries; a trimmed one has no fields."""
    _raise_error(answer)
    return {
        stream.decode(): [(entry_id.decode(), _fields(raw)) for entry_id, raw in entries]
        for stream, entries in answer or []
    }


def _fields(raw: list[bytes] | None) -> Fields:
    return dict(zip(raw[::2], raw[1::2], strict=True)) if raw else {}


def _outcome(group: GroupAligner, answer: Any) -> Outcome:
    if isinstance(answer, redis_library.RedisError):
        return _failed(group, answer)
    said, detail = answer
    if said == b"ok":
        group.committed()
        return "committed"
    if said == b"fenced":
        return _lost("commit refused", group, int(detail))
    _log.warning("commit refused", extra={"group": group.group.name, "cause": said.decode(), "number": int(detail)})
    return "stale"


def _lost(event: str, group: GroupAligner, fence: int) -> Outcome:
    """Another aligner has the group by now, under that fence."""
    _log.warning(event, extra={"group": group.group.name, "cause": "fenced", "number": fence})
    return "lost"


def _failed(group: GroupAligner, error: Exception) -> Outcome:
    """What an error of one group means for it; it means nothing for the others."""
    if isinstance(error, redis_library.exceptions.NoScriptError):
        return "stale"  # the server was started anew
    if "NOGROUP" in str(error):
        return "removed"
    is_known = isinstance(error, CandleBusError | redis_library.RedisError)
    _log.error("group failed", extra={"group": group.group.name, "cause": repr(error)}, exc_info=not is_known)
    return "refused"


def _raise_error(answer: Any) -> None:
    if isinstance(answer, redis_library.RedisError):
        raise answer

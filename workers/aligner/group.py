"""One alignment group: takes the entries that its streams bring, says what to read next and what to commit."""

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final, NamedTuple

import msgspec

from bus import keys
from bus.alignment import AlignedRow
from bus.codec import candles_of, columns, decode, encode, rows_of
from bus.errors import BusError, CandleBusError, EntriesLost
from bus.group_state import GroupState, Restored, streams_of, tolerance_ms_of
from bus.messages import AlignedBatch, CandleBatch, DeadLetter, Group, LateCandles, LateReason
from bus.scripts import Argument
from bus.stream_alignment import LateCandle
from bus.streams import Entry
from bus.timeframes import timeframe
from workers.aligner.backlog import Backlog
from workers.aligner.batches import aligned_batches
from workers.aligner.caution import MOST_TRIES, Caution

_log = logging.getLogger(__name__)

#: Entries of each series that one read brings at most.
READ_COUNT: Final = 8
#: A batch that begins so many candles after the slowest series is read again later instead of being kept.
_AHEAD_CANDLES: Final = 1_024

Fields = dict[bytes, bytes]
_Dead = tuple[int, str, bytes]  # number of the stream, entry id, letter


class Commit(NamedTuple):
    """A call of the commit script."""

    names: list[bytes]
    args: list[Argument]


class GroupAligner:
    """Aligns one group in memory, from one commit to the next. It asks no server anything.

    What was delivered and not acknowledged comes first: the candles that waited at the last commit, and what a former
    owner may have died over. Until that is read no row is sought.
    """

    def __init__(self, group: Group, fence: int, last: Restored, caution: Caution | None = None) -> None:
        """Take up the group where its last commit left it.

        Args:
            caution: Is asked before each entry is taken; None where nothing has gone wrong.
        """
        self._caution = caution
        self.group = group
        self.fence = fence
        self._aligner, self._rows, self._commit = last.aligner, last.rows, last.commit
        self._written_ms = last.written_ms
        self._series = {stream: name for name, stream in streams_of(group).items()}
        self._numbers = {stream: number for number, stream in enumerate(self._series, start=1)}
        self._backlogs = {
            name: Backlog(progress, group.start_ms) for name, progress in zip(group.series, last.progress, strict=True)
        }
        self._ahead_ms = _AHEAD_CANDLES * timeframe(group.timeframe).duration_ms
        self._horizon_ms = self._restored_ms = last.horizon_ms
        self._names = _names(group, list(self._series))
        self._unread: dict[str, str] = dict.fromkeys(self._series, "0-0")  # of the pending lists
        self._full: set[str] = set()
        self._lost: list[str] = []
        self._dead: list[_Dead] = []
        self._late: list[LateCandle] = []
        self._has_news = False
        if not last.commit and (tolerance_ms := tolerance_ms_of(group)) < group.tolerance_ms:
            _log.info("tolerance clamped below half the timeframe", extra={"group": group.name, "ms": tolerance_ms})

    @property
    def streams(self) -> list[str]:
        """The candle streams of the group."""
        return list(self._series)

    @property
    def most_read(self) -> int:
        """Entries that one read of all its streams brings at most."""
        return len(self._series) * READ_COUNT

    @property
    def wants_more(self) -> bool:
        """Whether there is something to read that no new entry announces."""
        return bool(self._unread or self._full or any(one.has_due(self._reach_ms) for one in self._backlogs.values()))

    def reads(self) -> dict[str, str]:
        """What to read through the consumer group: stream → ``>``, or the pending entry after which to go on."""
        return dict(self._unread) if self._unread else dict.fromkeys(self._series, ">")

    def rereads(self) -> list[tuple[str, str]]:
        """Entries, as (stream, entry id), whose time has come; each is named once.

        The horizon moves on here and nowhere else: whatever begins before it and was read is in memory at every commit,
        so that a successor knows what its predecessor had taken.
        """
        if self._unread:
            return []
        self._horizon_ms = min(one.reach(self._reach_ms, READ_COUNT) for one in self._backlogs.values())
        due = {stream: self._backlogs[name].due(self._horizon_ms) for stream, name in self._series.items()}
        return [(stream, entry_id) for stream, ids in due.items() for entry_id in ids]

    @property
    def _reach_ms(self) -> int:
        """How far the horizon may move."""
        return max(self._horizon_ms, self._aligner.settled_to_ms + self._ahead_ms)

    def take(self, found: dict[str, list[tuple[str, Fields]]]) -> None:
        """Takes what :meth:`reads` brought: stream → entries."""
        self._full = {stream for stream, entries in found.items() if len(entries) >= READ_COUNT}
        for stream, entries in found.items():
            for entry_id, fields in entries:
                self._take(stream, entry_id, fields)
        if self._unread:
            self._unread = {stream: entries[-1][0] for stream, entries in found.items() if stream in self._full}
            self._full = set() if self._unread else set(self._series)  # nothing new was read yet
            if not self._unread:
                self._find_lost()

    def _find_lost(self) -> None:
        """Looks, once all that was pending is read, whether it is all that had been read and not acknowledged.

        It is not where somebody destroyed the consumer group, or acknowledged or deleted entries by hand, or where one
        was set aside. The state counts their spans as settled, and the rows of their candles would be passed over.
        """
        for stream, name in self._series.items():
            backlog = self._backlogs[name]
            if not backlog.is_whole:
                self._aligner.unsettle(name, backlog.unsettle(self._aligner.decided_of(name)))
            if backlog.has_lost:
                self._lost.append(stream)
                _log.warning("entries lost, read again", extra={"group": self.group.name, "stream": stream})

    def take_lost(self) -> list[str]:
        """Streams that are to be read again from their first entry on, before the next commit; each is named once."""
        lost, self._lost = self._lost, []
        return lost

    def take_again(self, stream: str, entry_id: str, fields: Fields | None) -> None:
        """Takes an entry that :meth:`rereads` named; None where the stream has lost it."""
        if fields is None:
            self._set_aside(stream, entry_id, b"", EntriesLost(f"entry {entry_id} was trimmed before its time came"))
        else:
            self._take(stream, entry_id, fields)

    def _take(self, stream: str, entry_id: str, fields: Fields) -> None:
        """Takes an entry; one that is no batch of ours is set aside."""
        name = self._series[stream]
        backlog = self._backlogs[name]
        self._has_news = True
        try:
            if self._caution is not None and not self._caution.may_take(stream, entry_id):
                raise BusError(f"{MOST_TRIES} attempts to take it ended without a commit")
            batch = decode(Entry.of(stream, (entry_id.encode(), fields)).body, CandleBatch)
            is_decided = self._aligner.is_decided(name, batch.until)
            self._load_or_defer(stream, entry_id, batch)
            backlog.read(entry_id, batch, is_decided=is_decided)  # and settles nothing where that failed
        except CandleBusError as error:
            backlog.read(entry_id, None)
            self._set_aside(stream, entry_id, fields.get(b"b", b""), error)

    def _load_or_defer(self, stream: str, entry_id: str, batch: CandleBatch) -> None:
        name = self._series[stream]
        backlog = self._backlogs[name]
        if batch.since >= self._horizon_ms and self._aligner.members.has(name):
            backlog.defer(entry_id, batch)
            self._aligner.members.heard(batch.version)
            return
        page = (batch.version, batch.since, batch.until, candles_of(batch))
        is_replay = batch.since < self._restored_ms and backlog.was_read(entry_id)
        self._aligner.push(name, *page, is_replay=is_replay)
        backlog.loaded(entry_id, batch)
        self._late += self._aligner.take_late()

    def _set_aside(self, stream: str, entry_id: str, body: bytes, error: CandleBusError) -> None:
        letter = DeadLetter(stream=stream, entry_id=entry_id, reason=str(error)[:500], body=body)
        self._has_news = True
        self._dead.append((self._numbers[stream], entry_id, encode(letter)))
        _log.warning("entry set aside", extra={"stream": stream, "entry_id": entry_id, "cause": str(error)})

    def commit(self) -> Commit | None:
        """What to commit; None while there is nothing, or while what was pending is not read."""
        if self._unread or not self._has_news:
            return None
        self._has_news = False
        rows = [row for row in self._final_rows() if row.open_time > self._written_ms]
        self._rows += len(rows)
        batches = [part for at_ms, one in aligned_batches(self.group, rows) for part in (at_ms, encode(one))]
        lists = counted(batches, 2) + counted(self._late_messages(), 1) + counted(self._begun_pieces(), 1)
        acknowledged, letters = self._acknowledged(), list[Argument]()
        for number, entry_id, letter in self._dead:
            acknowledged += [number, entry_id]
            letters += [number, letter]
        self._dead = []
        return Commit(self._names, [*self._head(), *lists, *counted(acknowledged, 2), *counted(letters, 2)])

    def committed(self) -> None:
        """The commit was accepted."""
        self._commit += 1

    def end_caution(self) -> None:
        """Everything that there is was taken, and did no harm."""
        if self._caution is not None:
            self._caution.end()
            self._caution = None

    def _final_rows(self) -> list[AlignedRow]:
        """The rows that are final, once everybody who is to be left out or is back has been."""
        rows, members = self._aligner.poll(), self._aligner.members
        if self.group.detach_after_s is None:
            return rows
        for name in members.returned():
            members.attach(name)
            _log.info("series back", extra={"group": self.group.name, "series": name})
        while (stalled := members.stalled(self.group.detach_after_s * 1_000)) and not self._may_have_more(stalled):
            members.detach(stalled)
            _log.warning("series left out", extra={"group": self.group.name, "series": stalled})
            rows += self._aligner.poll()
        return rows + self._aligner.poll()

    def _begun_pieces(self) -> list[Argument]:
        return [msgspec.json.encode(piece) for piece in self._aligner.members.take_begun()]

    def _may_have_more(self, name: str) -> bool:
        """Whether its stream may hold entries that were not read."""
        is_full = any(self._series[stream] == name for stream in self._full)
        return is_full or self._backlogs[name].has_due(self._reach_ms)

    def _acknowledged(self) -> list[Argument]:
        done: list[Argument] = []
        for stream, name in self._series.items():
            for entry_id in self._backlogs[name].done(partial(self._aligner.is_decided, name)):
                done += [self._numbers[stream], entry_id]
        return done

    def doubt_ms(self) -> int | None:
        """The earliest open time of a candle, ms, of which only the aligned stream can tell whether it is late."""
        return min((one.candle.open_time for one in self._late if one.reason == "forgotten"), default=None)

    def settle_doubt(self, written: Iterable[AlignedBatch]) -> None:
        """Drops the candles that stand as they are in the rows of these batches: they came again, not late."""
        used = {used for batch in written for row in rows_of(batch) for used in row.items()}
        self._aligner.take_back(one for one in self._late if (one.source, one.candle) in used)
        self._late = [one for one in self._late if (one.source, one.candle) not in used]

    def _late_messages(self) -> list[Argument]:
        """The late candles, a message for each series, version and reason."""
        late, self._late = self._late, []
        messages: list[Argument] = []
        for about, each in groupby(sorted(late), key=_about):
            candles = [one.candle for one in each]
            source, version, reason = about
            of: dict[str, Any] = {"source": source, "version": version, "reason": reason, "n": len(candles)}
            of |= {"group": self.group.name, "timeframe": self.group.timeframe} | columns(candles)
            messages.append(encode(LateCandles(**of)))
            _log.warning("late candles", extra={"group": self.group.name, "series": source, "count": len(candles)})
        return messages

    def _head(self) -> list[Argument]:
        progress = [self._backlogs[name].progress(self._aligner.pending(name)) for name in self.group.series]
        about: dict[str, Any] = {"rows": self._rows, "progress": progress, "horizon_ms": self._horizon_ms}
        state = msgspec.msgpack.encode(GroupState(aligner=self._aligner.state(), **about))
        consumers = keys.align_consumer_group(self.group.name)
        bounds = [keys.ALIGNED_MAX_ENTRIES, keys.LATE_MAX_ENTRIES, keys.DEAD_MAX_ENTRIES]
        return [self.fence, self._commit, consumers, state, len(self._series), *bounds]


def counted(members: Sequence[Argument], width: int) -> list[Argument]:
    """A list for the commit script: how many members of that width it has, then their parts."""
    return [len(members) // width, *members]


def _names(group: Group, streams: Sequence[str]) -> list[bytes]:
    """The keys of the commit script."""
    aligned, late = keys.aligned(group.name), keys.late(group.name)
    own = [keys.group_lease(group.name), keys.group_state(group.name), aligned, keys.sequence(aligned)]
    own += [late, keys.sequence(late), keys.group_members(group.name)]
    return [name.encode() for name in (*own, *streams, *map(keys.dead, streams))]


def _about(late: LateCandle) -> tuple[str, int, LateReason]:
    return late.source, late.version, late.reason

"""Which sources of a stream alignment make its rows now, and who of them holds the others up."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bus.errors import GroupError
from bus.membership import Piece, without
from bus.stream_source import NEVER_MS, Source

#: How the furthest watermark rose, kept in so many steps. With fewer, a source seems to be waited for more shortly.
_MOST_STEPS: Final = 64


class Members:
    """The pieces of a timeline from the current one on.

    Time passes here by the producers' clock alone: the greatest version, which is the exchange's time of a fetch, that
    any source brought. However slow the reader is, it never takes a source that waits to be read for a silent one.

    Attributes:
        log: The current piece and those to come; each is aligned on its own.
        now: The members of the current piece, in the order of a row.
        clock_ms: The producers' clock.
    """

    def __init__(self, sources: Mapping[str, Source], start_ms: int, least: int) -> None:
        """All sources are members from the start on.

        Args:
            least: With so many members left, none is left out any more.
        """
        self._sources = sources
        self._least = least
        self.log = [Piece(start_ms, tuple(sources))]
        self.now = dict(sources)
        self.clock_ms = 0
        self._steps: list[tuple[int, int]] = [(start_ms, 0)]
        self._begun: list[Piece] = []

    @property
    def until_ms(self) -> int | None:
        """Where the next piece begins, ms; None where the current one goes on."""
        return self.log[1].from_ms if len(self.log) > 1 else None

    def has(self, name: str) -> bool:
        """Whether the source takes part, now or from some instant on."""
        return self._sources[name].begin_ms != NEVER_MS

    def heard(self, version: int) -> None:
        """A source brought something of that version."""
        if version > self.clock_ms:
            self.clock_ms = version

    def has_risen(self, source: Source, version: int) -> None:
        """A page of that version raised the watermark of a source: it may have caught up, or others now be behind."""
        self._raise_front(source.watermark_ms, version)
        if source.watermark_ms >= self._steps[-1][0]:
            source.behind_ms = None
        else:
            passed = next(at for front_ms, at in self._steps if front_ms > source.watermark_ms)
            source.behind_ms = max(passed, version)

    def has_fallen(self, source: Source) -> None:
        """A member is settled less far than it was; from now on others may wait for it."""
        front_ms = max(one.watermark_ms for one in self._sources.values() if one.begin_ms != NEVER_MS)
        self._steps = [(front_ms, self.clock_ms)]
        source.behind_ms = self.clock_ms if source.watermark_ms < front_ms else None

    def _raise_front(self, front_ms: int, version: int) -> None:
        """Somebody is further than all others were, since a page of that version."""
        if self._steps and front_ms <= self._steps[-1][0]:
            return
        slowest_ms = front_ms
        for source in self._sources.values():
            if source.begin_ms != NEVER_MS and source.watermark_ms < front_ms:
                slowest_ms = min(slowest_ms, source.watermark_ms)
                if source.behind_ms is None:
                    source.behind_ms = version
        self._steps = [step for step in self._steps if step[0] > slowest_ms]
        self._steps.append((front_ms, version))
        if len(self._steps) > _MOST_STEPS:
            del self._steps[1::2]

    def holder(self) -> str | None:
        """The member that the others wait for longest; None where nobody waits."""
        name = min(self.now, key=lambda one: self.now[one].watermark_ms)
        return name if self.now[name].behind_ms is not None else None

    def held_ms(self) -> int:
        """For how long, by the producers' clock, the holder has settled nothing that the others wait for."""
        name = self.holder()
        since_ms = self.now[name].behind_ms if name is not None else None
        return 0 if since_ms is None else self.clock_ms - since_ms

    def stalled(self, after_ms: int) -> str | None:
        """The holder, if it has held for so long, ms, and may be left out."""
        name = self.holder()
        return name if name is not None and self.held_ms() >= after_ms and self._can_spare(name) else None

    def _can_spare(self, name: str) -> bool:
        """Whether every piece still has enough members without that one."""
        return all(len(piece.members) - (name in piece.members) >= self._least for piece in self.log)

    def detach(self, name: str) -> None:
        """Leaves a member of the current piece out, from the end of what it settled and of what is decided.

        Raises:
            GroupError: So few are left that none can be spared.
        """
        if not self._can_spare(name):
            raise GroupError(f"{name} cannot be left out: a row needs {self._least} of those that are left")
        source = self.now[name]
        decided_ms = max(member.decided_ms for member in self.now.values())
        from_ms = max(source.watermark_ms, decided_ms, self.log[0].from_ms)
        source.leave(from_ms)
        self._leave_out(name, from_ms)

    def _leave_out(self, name: str, from_ms: int) -> None:
        self.log = without(self.log, name, from_ms)
        if from_ms == self.log[0].from_ms:
            self._begin()

    def lose(self, name: str) -> None:
        """What a source that was left out brought before is lost: it is left out from what is decided on."""
        source = self._sources[name]
        from_ms = max(self.log[0].from_ms, *(member.decided_ms for member in self.now.values()))
        if from_ms < source.end_ms:
            self._leave_out(name, from_ms)
            source.end_ms = from_ms

    def returned(self) -> list[str]:
        """The sources left out that have settled as much as the slowest member, so that they can come back."""
        settled_ms = min(self._sources[name].watermark_ms for name in self.log[-1].members)
        out = {name: one.spans.end_ms for name, one in self._sources.items() if one.begin_ms == NEVER_MS}
        return [name for name, end_ms in out.items() if end_ms is not None and end_ms >= settled_ms]

    def attach(self, name: str) -> None:
        """Takes a source in again, from the first instant that is past everything decided, settled or read of it."""
        source, last = self._sources[name], self.log[-1]
        others = [self._sources[one] for one in (*self.now, *last.members)]
        known_ms = [instant for one in others for instant in (one.watermark_ms, one.decided_ms)]
        from_ms = max(last.from_ms, source.spans.end_ms or 0, source.decided_ms, *known_ms)
        source.come_back(from_ms)
        self._raise_front(from_ms, self.clock_ms)
        members = tuple(one for one in self._sources if one == name or one in last.members)
        self.log = [*(piece for piece in self.log if piece.from_ms < from_ms), Piece(from_ms, members)]
        if from_ms == self.log[0].from_ms:
            self._begin()

    def enter_next_piece(self) -> bool:
        """Goes on with the next piece if everything before it is decided; whether it did."""
        until_ms = self.until_ms
        if until_ms is None or any(source.decided_ms < until_ms for source in self.now.values()):
            return False
        del self.log[0]
        self._begin()
        for source in self.now.values():
            source.decide(until_ms)
        return True

    def take_begun(self) -> list[Piece]:
        """The pieces that began since the last call; of two from one instant on, the later holds."""
        begun, self._begun = self._begun, []
        return begun

    def _begin(self) -> None:
        self.now = {name: self._sources[name] for name in self.log[0].members}
        self._begun.append(self.log[0])

    def state(self) -> list[Any]:
        """All of it in lists and numbers; a source is told by its place."""
        places = {name: place for place, name in enumerate(self._sources)}
        logs = [[[at, [places[name] for name in names]] for at, names in each] for each in (self.log, self._begun)]
        return [self.clock_ms, [list(step) for step in self._steps], *logs]

    def restore(self, state: Sequence[Any]) -> None:
        """Takes over what :meth:`state` said.

        Raises:
            ValueError, IndexError, KeyError, TypeError: It is no such state.
        """
        names = list(self._sources)
        self.clock_ms, steps, *logs = state
        self._steps = [(front_ms, version) for front_ms, version in steps]
        self.log, self._begun = ([Piece(at, tuple(names[k] for k in places)) for at, places in each] for each in logs)
        self.now = {name: self._sources[name] for name in self.log[0].members}

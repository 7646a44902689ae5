"""The aligner process: holds its fair share of the groups, aligns what their streams bring, lets go in order."""

import logging
import signal
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

import redis as redis_library
from redis import Redis

from bus.connection import check_server, connect, log_warnings, readable_errors
from bus.errors import CandleBusError, DecodeError, SettingsError
from bus.group_leases import GROUP_LEASE_MS, GroupLeases, fair_share
from bus.group_state import Restored, restored
from bus.groups import GroupBook
from bus.living import process_name
from bus.scripts import load_all
from bus.series import Series
from bus.settings import Settings
from workers.aligner.caution import CAREFUL_FROM, Caution
from workers.aligner.group import GroupAligner
from workers.aligner.portions import MOST_ENTRIES
from workers.aligner.rounds import Outcome, Rounds
from workers.aligner.wakeup import Wakeup
from workers.aligner.warmer import ContractWarmer

_log = logging.getLogger(__name__)

#: Well below the lease, and short enough that a dead process's groups are taken over within ten seconds.
_SHARE_EVERY_S: Final = GROUP_LEASE_MS / 1000 / 5
_BLOCK_MS: Final = 500
_RECONNECT_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.02
#: To look at thousands of streams takes a while: a process that has work spends at most such a part of its time on it.
_LOOK_SHARE: Final = 10  # one tenth


class AlignerProcess:
    """Aligns the groups that it holds, until asked to stop."""

    def __init__(self, redis: Redis, only: Sequence[str] = ()) -> None:
        """Hold nothing yet.

        Args:
            only: Names of the groups to take, all of them; a fair share of all groups where empty.
        """
        self._redis = redis
        self._book = GroupBook(redis)
        self._only = only
        self._leases = GroupLeases(redis, process_name())
        self._share_at = self._look_at = 0.0
        self.is_stopping = False
        self._was_cut_off = False
        self._begin()

    def _begin(self) -> None:
        """Know nothing of what the server holds."""
        self._rounds: Rounds | None = None
        self._wakeup = Wakeup(self._redis)
        self._held: dict[str, GroupAligner] = {}
        self._ready: dict[str, None] = {}  # a set that keeps its order: nobody waits for ever

    def _begin_anew(self) -> None:
        self._begin()
        self._was_cut_off = True
        self._share_at = 0.0
        time.sleep(_RECONNECT_S)

    @property
    def held(self) -> list[str]:
        """Names of the groups that this process holds."""
        return list(self._held)

    @property
    def is_busy(self) -> bool:
        """Whether groups wait for their turn."""
        return bool(self._ready)

    def exchanges(self) -> set[str]:
        """The exchanges of the groups that it holds; may be called from another thread."""
        return {Series.parse(name).exchange for held in tuple(self._held.values()) for name in held.group.series}

    def run(self) -> None:
        """Align until ``is_stopping``; a server that goes away is waited for, whatever stands on it."""
        while not self.is_stopping:
            try:
                self.step()
            except (redis_library.ConnectionError, redis_library.TimeoutError) as error:
                _log.warning("server away", extra={"cause": str(error)})
                self._begin_anew()
            except (redis_library.ResponseError, CandleBusError) as error:
                # Something on the server is not what it should be; whoever put it there must not end every aligner.
                _log.error("aligning failed", extra={"cause": str(error)})
                self._begin_anew()
        self._leases.leave(self.held)

    def step(self) -> None:
        """Look after the leases, then read and commit for those groups that have something; waits where none has."""
        if time.monotonic() >= self._share_at:
            self._share()
        self._look()
        if names := self._next():
            self._align(names)

    def _next(self) -> list[str]:
        """The groups whose turn it is: as many as one trip may bring the entries of; the others come first then."""
        names: list[str] = []
        entries = 0
        for name in self._ready:
            entries += self._held[name].most_read
            if names and entries > MOST_ENTRIES:
                break
            names.append(name)
        for name in names:
            del self._ready[name]
        return names

    def _look(self) -> None:
        """See whose streams grew; while others are ready only now and then, and without waiting."""
        if not self._ready:
            self._ready = dict.fromkeys(self._wakeup.wait(_BLOCK_MS))
        elif (began := time.monotonic()) >= self._look_at:
            self._ready |= dict.fromkeys(self._wakeup.wait(None))
            took = time.monotonic() - began
            self._look_at = began + max(_LOOK_EVERY_S, _LOOK_SHARE * took)

    def _align(self, names: Sequence[str]) -> None:
        self._rounds = self._rounds or Rounds(self._redis)
        outcomes, read_ids = self._rounds.run([self._held[name] for name in names])
        self._wakeup.seen(read_ids)
        for name, outcome in zip(names, outcomes, strict=True):
            self._go_on(name, outcome)

    def _go_on(self, name: str, outcome: Outcome) -> None:
        if outcome in ("lost", "removed", "refused"):  # what was refused is taken up again with the next share
            _log.warning("group let go", extra={"group": name, "cause": outcome})
            self._drop([name])
            for group in self._book.several([name] if outcome == "removed" else []):
                self._book.begin_reading(group)  # only a stream of it was removed
        elif outcome == "stale":
            self._rounds = None  # a server that was started anew has forgotten the script
            self._take_up({name: self._held[name].fence})
        elif self._held[name].wants_more:
            self._ready[name] = None
        else:
            self._held[name].end_caution()

    def _share(self) -> None:
        """Keep what is held, give up what is too much, take what is free and due to this process."""
        self._share_at = time.monotonic() + _SHARE_EVERY_S
        names = [name for name in self._book.names() if not self._only or name in self._only]
        share = len(names) if self._only else fair_share(len(names), self._leases.join())
        kept = self._leases.renew(self.held)
        surplus = list(kept)[share:]
        self._drop(list(self._held.keys() - kept.keys() | set(surplus)))
        self._leases.release(surplus)
        free = [name for name in names if name not in self._held]
        if free and len(self._held) < share:
            self._take_up(self._leases.take(free, share - len(self._held)))
        self._was_cut_off = False

    def _take_up(self, fences: dict[str, int]) -> None:
        """Begin with groups where their last commits left them."""
        groups = self._book.several(list(fences))
        self._drop([group.name for group in groups if group.name in self._held])
        taken = {}
        for group, last in zip(groups, restored(self._redis, groups), strict=True):
            if isinstance(last, DecodeError):
                _log.error("group not taken", extra={"group": group.name, "cause": str(last)})
            else:
                taken[group.name] = GroupAligner(group, fences[group.name], last, self._caution(group.name, last))
        self._held |= taken
        self._ready |= dict.fromkeys(taken)
        self._wakeup.add({name: each.streams for name, each in taken.items()})
        _log.info("groups taken", extra={"count": len(taken), "held": len(self._held)})

    def _caution(self, name: str, last: Restored) -> Caution | None:
        if last.ended < CAREFUL_FROM:
            return None
        _log.warning("group taken with caution", extra={"group": name, "ended": last.ended})
        caution = Caution(self._redis, name)
        if self._was_cut_off:  # whatever was being taken then, it was not that which ended it
            caution.end()
        return caution

    def _drop(self, names: Sequence[str]) -> None:
        for name in names:
            del self._held[name]
            self._ready.pop(name, None)
        self._wakeup.remove(names)


def run_aligner(settings: Settings, only: list[str]) -> None:
    """Align the groups of the bus until SIGTERM or SIGINT.

    Raises:
        SettingsError: No server is named, or it is not fit for a bus.
        BusUnavailable: The server is away.
        GroupError: One of ``only`` is not a group.
    """
    if settings.redis_url is None:
        raise SettingsError("an aligner needs a server: set CANDLEBUS_REDIS_URL, or start one with 'candlebus up'")
    client = connect(settings.redis_url)
    process = AlignerProcess(client, only)

    def stop(_number: int, _frame: FrameType | None) -> None:
        process.is_stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with readable_errors(settings.redis_url):
        log_warnings(check_server(client))
        load_all(client)
        for name in only:
            GroupBook(client).get(name)
    with ContractWarmer(settings, process.exchanges):
        process.run()
    client.close()

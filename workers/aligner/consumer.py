"""The aligner process: holds as many groups as it can get, aligns what their streams bring, lets go in order."""

import logging
import os
import signal
import socket
import time
from types import FrameType
from typing import Any, Final

import redis as redis_library
from redis import Redis

from bus.connection import check_server, connect, readable_errors
from bus.errors import Fenced, GroupError, SettingsError
from bus.groups import GROUP_LEASE_MS, GroupBook
from bus.messages import Series
from bus.settings import Settings
from workers.aligner.group import GroupAligner
from workers.aligner.warmer import ContractWarmer

_log = logging.getLogger(__name__)

_HOLD_EVERY_S: Final = GROUP_LEASE_MS / 1000 / 5
_BLOCK_MS: Final = 500
_RECONNECT_S: Final = 1.0


class AlignerProcess:
    """Aligns every group that it holds, until asked to stop."""

    def __init__(self, redis: Redis, only: list[str]) -> None:
        """Hold nothing yet.

        Args:
            only: Names of the groups to take; all where empty.
        """
        self._redis = redis
        self._book = GroupBook(redis)
        self._only = only
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns():x}"
        self._held: dict[str, GroupAligner] = {}
        self._fences: dict[str, int] = {}
        self._last_ids: dict[str, str] = {}
        self._held_at = 0.0
        self.is_stopping = False

    def exchanges(self) -> set[str]:
        """The exchanges of the groups that it holds; may be called from another thread."""
        return {Series.parse(name).exchange for held in tuple(self._held.values()) for name in held.group.series}

    def run(self) -> None:
        """Align until ``is_stopping``; a server that goes away is waited for."""
        while not self.is_stopping:
            try:
                self.step()
            except (redis_library.ConnectionError, redis_library.TimeoutError) as error:
                _log.warning("server away", extra={"cause": str(error)})
                self._held.clear()
                time.sleep(_RECONNECT_S)
        for name in list(self._held):
            self._book.give_up(name)

    def step(self) -> None:
        """Hold groups, then read and commit each of them once; waits where nothing has come."""
        if time.monotonic() - self._held_at > _HOLD_EVERY_S:
            self._hold()
        worked = [self._aligned(name) for name in list(self._held)]
        if not any(worked):
            self._wait()

    def _hold(self) -> None:
        names = [name for name in self._book.names() if not self._only or name in self._only]
        for name in set(self._held) - set(names):
            del self._held[name]
        for name in names:
            self._hold_one(name)
        self._held_at = time.monotonic()

    def _hold_one(self, name: str) -> None:
        fence = self._book.hold(name, self._owner)
        if not fence:
            self._held.pop(name, None)
        elif name not in self._held or self._fences[name] != fence:
            try:
                self._held[name] = GroupAligner(self._redis, self._book.get(name), fence)
            except GroupError:
                return  # removed between the two looks
            self._fences[name] = fence
            _log.info("group held", extra={"group": name, "fence": fence})

    def _aligned(self, name: str) -> bool:
        try:
            return self._held[name].step()
        except Fenced as error:
            _log.warning("group lost", extra={"group": name, "cause": str(error)})
        except redis_library.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            _log.warning("group removed", extra={"group": name})
        del self._held[name]
        return False

    def _wait(self) -> None:
        """Sleep until a stream of ours grows, or half a second."""
        streams = {stream for held in self._held.values() for stream in held.streams}
        if not streams:
            time.sleep(_BLOCK_MS / 1000)
            return
        wanted: Any = {stream: self._last_ids.get(stream, "0-0") for stream in streams}
        answer: Any = self._redis.xread(wanted, count=1, block=_BLOCK_MS)
        lists = answer.items() if isinstance(answer, dict) else answer or []
        for stream, _ in lists:
            self._last_ids[stream.decode()] = self._newest(stream)

    def _newest(self, stream: bytes) -> str:
        newest: Any = self._redis.xrevrange(stream, count=1)
        return newest[0][0].decode() if newest else "0-0"


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
        check_server(client)
        for name in only:
            GroupBook(client).get(name)
    with ContractWarmer(settings, process.exchanges):
        process.run()
    client.close()

"""Keeps the contract maps of the groups' exchanges fetched ahead of their expiry, beside the alignment."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Final

from redis import Redis, RedisError

from bus.connection import connect
from bus.errors import CandleBusError, SettingsError
from bus.settings import Settings
from workers.desk import Desk

_log = logging.getLogger(__name__)

#: Often enough for an hour's map of which the last fifth is left; each look is one small read.
LOOK_EVERY_S: Final = 60.0
#: A look that stands in a question is not waited for: the thread ends with the process.
_JOIN_S: Final = 1.0


class ContractWarmer:
    """Looks after the maps from a thread of its own, for an exchange that is slow must not hold up alignment.

    It asks as a worker does, through the shared budget, and only where no other process asks already.
    """

    def __init__(
        self, settings: Settings, exchanges: Callable[[], set[str]], *, look_every_s: float = LOOK_EVERY_S
    ) -> None:
        """Look after nothing yet.

        Args:
            settings: Those of the process; a server must be named.
            exchanges: Whose maps to look after now; called again at every look.
        """
        if settings.redis_url is None:
            raise SettingsError("contract maps are kept warm on a server: set CANDLEBUS_REDIS_URL")
        self._settings = settings
        self._url = settings.redis_url
        self._exchanges = exchanges
        self._look_every_s = look_every_s
        self._ended = threading.Event()
        self._failed: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="contract warmer", daemon=True)

    def _run(self) -> None:
        with ExitStack() as opened:
            redis = connect(self._url)
            opened.callback(redis.close)
            desks: dict[str, Desk] = {}
            # The first look soon: groups are held within a second or two of the start.
            while not self._ended.wait(min(1.0, self._look_every_s) if not desks else self._look_every_s):
                for name in sorted(self._exchanges()):
                    self._look_after(name, redis, desks, opened)

    def _look_after(self, name: str, redis: Redis, desks: dict[str, Desk], opened: ExitStack) -> None:
        try:
            if name not in desks:
                desks[name] = Desk(name, redis, self._settings)
                opened.callback(desks[name].close)
            desks[name].contracts.warm()
            self._failed.discard(name)
        except (CandleBusError, RedisError) as error:
            if name not in self._failed:  # said once, not at every look
                _log.warning("contract map not kept warm", extra={"exchange": name, "cause": str(error)})
            self._failed.add(name)

    def __enter__(self) -> "ContractWarmer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(_JOIN_S)

"""The server of a durable bus, kept alive: where it ends it is started again on its data, until that is of no use."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bus.embedded import EmbeddedServer
from bus.errors import BusUnavailable, SettingsError
from candlebus.exchange_locks import Say

#: A server that ends sooner than this after its start would do so for ever.
_SHORT_LIFE_S: Final = 5.0
#: So many short lives one after another, or starts that failed, are enough. Not the first: what is left of a server
#: that was killed may hold its folder for some seconds, and a machine without memory may kill it while it loads.
MOST_SHORT_LIVES: Final = 5


class KeptServer:
    """A server that is started again whenever it ends, and who must be told."""

    def __init__(
        self, server: EmbeddedServer, data: Path, say: Say, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Take over a server that has just been started.

        Args:
            data: Folder of its data, for messages.
            say: Called with a line when the server is started again, or something was cut off its torn file.
            clock_s: Tells seconds.
        """
        self._server = server
        self._data = data
        self._say = say
        self._clock_s = clock_s
        self._short_lives = 0
        self._failure = ""
        self._begin()

    def _begin(self) -> None:
        self._started_s = self._clock_s()
        for line in self._server.repaired:
            self._say(line)

    def look(self) -> None:
        """Start the server again where it has ended; returns when it answers, or when that failed.

        Raises:
            BusUnavailable: It ends again and again at once; the text says how, and what to do.
        """
        why = self._failure or self._server.ended()
        if not why:
            return
        is_short = bool(self._failure) or self._clock_s() - self._started_s < _SHORT_LIFE_S
        self._short_lives = self._short_lives + 1 if is_short else 0
        if self._short_lives == MOST_SHORT_LIVES:
            cure = f"mend that, then run the same command again; its data stay in {self._data}"
            raise BusUnavailable(f"the server of this bus ends again and again ({why}); {cure}")
        self._say(f"the server of this bus ended ({why}); starting it again")
        self._restart()

    def _restart(self) -> None:
        """Start it; a failure is told, and counted, by the next look."""
        self._failure = ""
        try:
            self._server.restart()
        except (BusUnavailable, SettingsError) as error:
            self._failure = str(error)
        else:
            self._begin()

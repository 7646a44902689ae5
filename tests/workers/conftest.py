"""Fixtures of more than one of these tests."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from redis import Redis

from tests.faults.preload import Preload
from tests.faults.server import ServerUnderTest


class SteppedServer(msgspec.Struct, frozen=True):
    """A server of its own whose clock is stepped."""

    redis: Redis
    set_off: Callable[[int], None]

    def step(self, ms: int) -> None:
        """Set its clock so far off the truth, ms."""
        self.set_off(ms)
        time.sleep(0.01)  # it looks at the clock again after half a millisecond


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[SteppedServer]:
    preload = Preload(tmp_path)
    if not preload.is_there:
        pytest.skip("there is no C compiler")
    server = ServerUnderTest(tmp_path, preload, wrapped=False)
    server.start()
    yield SteppedServer(server.control, lambda ms: preload.step("server", ms))
    server.kill()
    server.control.close()

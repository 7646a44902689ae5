"""A whole bus in processes of its own: server, stand-ins, workers, aligner."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox
from workers.supervisor import Supervisor


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as stand_ins:
        yield stand_ins


@pytest.fixture
def processes(server: str, redis: object, sandbox: Sandbox, tmp_path: Path) -> Iterator[Supervisor]:
    """Starts workers and aligners of a shared bus; ends them all."""
    settings = Settings(redis_url=server, pace="full", urls=sandbox.urls, home=tmp_path)
    with (tmp_path / "processes.log").open("wb") as log:
        supervisor = Supervisor(child_environment(settings), output=log, grace_s=5)
        yield supervisor
        supervisor.stop()

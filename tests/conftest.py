"""Fixtures of all tests: a real server, a clean connection, the recorded data, a leak check.

``pytest --hypothesis-profile=full tests/bus`` tries every property on its full number of cases.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from redis import Redis

from bus.connection import connect
from bus.embedded import EmbeddedServer
from tests.bus.thoroughness import FIRST, FULL

# How long an example may take is no property of the code: the machine does other things too.
settings.register_profile(FULL, deadline=None)
settings.register_profile(FIRST, deadline=None)
settings.register_profile("here", deadline=None)
settings.load_profile("here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the server is a Redis test: it also runs on the other servers."""
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.redis)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """URL of a real server: CANDLEBUS_TEST_SERVER names a program, else the embedded one."""
    with EmbeddedServer(program=os.environ.get("CANDLEBUS_TEST_SERVER")) as embedded:  # noqa: TID251
        yield embedded.url


@pytest.fixture
def redis(server: str) -> Iterator[Redis]:
    """A connection to an empty server."""
    client = connect(server)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Folder of recorded candles and answers."""
    folder = os.environ.get("CANDLEBUS_RECORDED")  # noqa: TID251
    if not folder:
        pytest.skip("CANDLEBUS_RECORDED names no folder of recorded data")
    return Path(folder).resolve()


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the settings of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("CANDLEBUS_")]:  # noqa: TID251
        if name not in ("CANDLEBUS_RECORDED", "CANDLEBUS_TEST_SERVER"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CANDLEBUS_HOME", str(tmp_path_factory.getbasetemp() / "home"))
    for exchange in ("BINGX", "KUCOINFUTURES"):  # no test reaches an exchange, not even by mistake
        monkeypatch.setenv(f"CANDLEBUS_URL_{exchange}", "http://127.0.0.1:9")

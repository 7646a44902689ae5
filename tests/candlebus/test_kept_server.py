"""A server that is kept alive: started again on its data, told of in one line, given up when it is of no use."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.errors import BusUnavailable
from candlebus.kept_server import MOST_SHORT_LIVES, KeptServer

PATIENCE_S = 20.0


class Kept:
    """A durable server, its keeper with a clock that stands still, and what it said."""

    def __init__(self, data: Path) -> None:
        self.server = EmbeddedServer(data=data)
        self.said: list[str] = []
        self.now_s = 0.0
        self.keeper = KeptServer(self.server, data, self.said.append, clock_s=lambda: self.now_s)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        with connect(self.server.url) as client:
            os.kill(int(client.info("server")["process_id"]), number)
        deadline = time.monotonic() + PATIENCE_S
        while self.server.ended() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "data")
    with kept.server:
        yield kept


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, 137), (signal.SIGTERM, 0)])
def test_a_server_that_ended_is_started_again_on_its_data_and_one_line_says_how_it_ended(
    kept: Kept, number: signal.Signals, code: int
) -> None:
    with connect(kept.server.url) as client:
        client.set("k", "1")
    kept.keeper.look()
    assert kept.said == []
    kept.kill(number)
    kept.keeper.look()
    [line] = kept.said
    assert line.startswith(f"the server of this bus ended (exit code {code}, last line: ")
    assert "it says nothing" not in line
    assert line.endswith("); starting it again")
    with connect(kept.server.url) as client:
        assert client.get("k") == b"1"
        assert client.config_get("appendfsync")["appendfsync"] == "always"


def test_one_that_ends_again_and_again_at_once_is_given_up(kept: Kept, tmp_path: Path) -> None:
    for _ in range(MOST_SHORT_LIVES - 1):
        kept.kill()
        kept.keeper.look()
    kept.kill()
    with pytest.raises(BusUnavailable, match=r"ends again and again \(exit code 137") as refused:
        kept.keeper.look()
    assert f"run the same command again; its data stay in {tmp_path / 'data'}" in str(refused.value)


def test_one_that_lives_on_for_a_while_between_is_not(kept: Kept) -> None:
    for _ in range(MOST_SHORT_LIVES + 1):
        kept.now_s += 60
        kept.kill()
        kept.keeper.look()
    assert len(kept.said) == MOST_SHORT_LIVES + 1
    assert kept.server.ended() is None


def test_one_that_cannot_be_started_is_given_up_with_its_last_words(kept: Kept, tmp_path: Path) -> None:
    kept.kill()
    for file in (tmp_path / "data" / "appendonlydir").glob("*.base.*"):
        file.unlink()
    kept.now_s = 3600
    for _ in range(MOST_SHORT_LIVES):
        kept.keeper.look()
    with pytest.raises(BusUnavailable, match=r"does not start: serve\.sh: refused: .*; restore it from a copy"):
        kept.keeper.look()

"""The embedded server: private, several side by side, gone with its parent."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.child import Child
from bus.connection import connect
from bus.embedded import EmbeddedServer
from bus.errors import BusUnavailable, SettingsError

HOLD = """
import sys, time
from bus.embedded import EmbeddedServer
server = EmbeddedServer()
print(server.url, flush=True)
time.sleep(60)
"""


def is_alive(url: str) -> bool:
    client = connect(url)
    try:
        return bool(client.ping())
    except OSError:
        return False
    except Exception:  # noqa: BLE001 - whatever the library says, it does not answer
        return False
    finally:
        client.close()


def eventually(condition: object, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_several_servers_run_side_by_side_and_do_not_meet() -> None:
    with EmbeddedServer() as one, EmbeddedServer() as other:
        first, second = connect(one.url), connect(other.url)
        first.set("k", "1")
        assert second.get("k") is None
        first.close()
        second.close()
    assert not is_alive(one.url)
    assert not is_alive(other.url)


def test_a_server_listens_on_no_network_unless_asked_and_then_on_loopback_only(tmp_path: Path) -> None:
    with EmbeddedServer() as server:
        client = connect(server.url)
        assert client.config_get("port")["port"] == "0"
        path = Path(server.url.removeprefix("unix://"))
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0
        client.close()
    with EmbeddedServer(port=16399, data=tmp_path) as server:
        client = connect(server.url)
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        client.close()


def test_a_durable_server_finds_its_data_again_at_the_same_address(tmp_path: Path) -> None:
    urls = set()
    for expected in (None, b"1"):
        with EmbeddedServer(data=tmp_path / "data") as server:
            urls.add(server.url)
            client = connect(server.url)
            assert client.get("k") == expected
            client.set("k", "1")
            client.close()
    assert len(urls) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_dies_with_its_parent_however_that_ends(how: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert is_alive(url)
    parent.send_signal(how)
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not is_alive(url))


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_a_child_dies_even_with_its_guardian(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = Child(["/bin/sh", "-c", f"echo $$ > {pid_file}; sleep 60"])
    assert eventually(lambda: pid_file.exists() and pid_file.read_text().strip())
    os.kill(child.pid, signal.SIGKILL)
    child.stop()
    pid = int(pid_file.read_text())
    assert eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/status").read_text())


def test_a_child_that_ignores_the_polite_signal_is_killed() -> None:
    child = Child(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], grace_s=0.3)
    time.sleep(0.3)
    started = time.monotonic()
    assert child.stop() == 128 + signal.SIGKILL
    assert time.monotonic() - started < 5


def test_the_exit_code_of_a_child_is_known() -> None:
    child = Child(["/bin/sh", "-c", "exit 7"])
    assert eventually(lambda: child.exit_code() == 7)
    child.stop()


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files; its path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_a_port_that_another_server_has_is_refused(temporary: Path) -> None:
    with EmbeddedServer(port=16398):
        before = list(temporary.iterdir())
        with pytest.raises(
            SettingsError, match=r"^port 16398 is in use by another program; choose another with --port"
        ):
            EmbeddedServer(port=16398)
        assert list(temporary.iterdir()) == before


def test_a_port_that_another_service_has_is_refused_whatever_it_answers(temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"^port {port} is in use by another program"):
            EmbeddedServer(port=port)
    assert not list(temporary.iterdir())


def test_a_port_whose_connections_have_just_ended_is_free() -> None:
    for _ in range(2):
        with EmbeddedServer(port=16397) as server:
            assert is_alive(server.url)


def test_a_program_that_cannot_be_started_is_named_and_leaves_no_folder(temporary: Path) -> None:
    with pytest.raises(BusUnavailable, match="cannot start /nonexistent"):
        EmbeddedServer(program="/nonexistent")
    assert not list(temporary.iterdir())


def test_a_temporary_folder_that_is_too_long_for_a_socket_is_named(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = temporary / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with pytest.raises(SettingsError, match=r"long is too long for a unix socket; set TMPDIR to a shorter path"):
        EmbeddedServer()
    assert not list(long.iterdir())


def test_a_temporary_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nope")
    with pytest.raises(SettingsError, match="no temporary folder: No such file or directory; set TMPDIR"):
        EmbeddedServer()

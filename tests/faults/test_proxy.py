"""Each toxic does to a connection what its name says."""

import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy, Toxic


class _Echo:
    """Answers every piece with ``<`` and the piece, on a thread for each connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self.heard: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65_536):
                self.heard.append(data)
                connection.sendall(b"<" + data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[_Echo]:
    server = _Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: _Echo) -> Iterator[Proxy]:
    between = Proxy(echo.address)
    between.start()
    yield between
    between.stop()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
        assert _ask(connection, b"warm") == b"<warm"
        yield connection


def _ask(connection: socket.socket, data: bytes) -> bytes:
    """What comes back, until as much as an echo or the end."""
    connection.sendall(data)
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while len(got) < len(data) + 1 and (piece := connection.recv(65_536)):
            got += piece
    return got


def test_without_a_toxic_everything_passes_unchanged(client: socket.socket) -> None:
    data = bytes(range(256)) * 100
    assert _ask(client, data)[1:] == data


def test_latency_delays_and_ends_with_the_healing(client: socket.socket, proxy: Proxy) -> None:
    dose = proxy.poison(Toxic(kind="latency", ms=100))
    begun_at = time.monotonic()
    assert _ask(client, b"late") == b"<late"
    assert time.monotonic() - begun_at >= 0.2  # there and back
    proxy.heal(dose)
    assert dose.strikes == 2
    assert _ask(client, b"soon") == b"<soon"
    assert dose.strikes == 2


def test_down_cuts_what_is_open_and_refuses_what_comes(client: socket.socket, proxy: Proxy) -> None:
    proxy.poison(Toxic(kind="down"))
    assert client.recv(1) == b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as another:
        assert _ask(another, b"hello") == b""


def test_bandwidth_is_bytes_a_second(client: socket.socket, proxy: Proxy) -> None:
    proxy.poison(Toxic(kind="bandwidth", bytes=10_000))
    begun_at = time.monotonic()
    assert len(_ask(client, b"x" * 1_000)) == 1_001
    assert time.monotonic() - begun_at >= 0.2


def test_a_slow_close_is_told_late(client: socket.socket, proxy: Proxy) -> None:
    dose = proxy.poison(Toxic(kind="slow_close", ms=200))
    client.shutdown(socket.SHUT_WR)
    begun_at = time.monotonic()
    assert client.recv(1) == b""
    assert time.monotonic() - begun_at >= 0.19
    assert dose.strikes == 1


def test_a_timeout_swallows_everything(client: socket.socket, proxy: Proxy, echo: _Echo) -> None:
    proxy.poison(Toxic(kind="timeout", ms=100))
    assert _ask(client, b"lost") == b""
    assert b"lost" not in echo.heard


def test_a_reset_is_a_rst(client: socket.socket, proxy: Proxy) -> None:
    proxy.poison(Toxic(kind="reset"))
    client.sendall(b"lost")
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_slicer_hands_on_crumbs(client: socket.socket, proxy: Proxy, echo: _Echo) -> None:
    proxy.poison(Toxic(kind="slicer", bytes=1, ms=20))
    client.sendall(b"abc")
    deadline = time.monotonic() + 5
    while b"".join(echo.heard) != b"warmabc" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert echo.heard[1:] == [b"a", b"b", b"c"]


def test_limited_data_ends_every_connection_after_so_many_bytes_of_replies(client: socket.socket, proxy: Proxy) -> None:
    proxy.poison(Toxic(kind="limit_data", bytes=4))
    assert _ask(client, b"123456789") == b"<123"
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as another:
        assert _ask(another, b"123456789") == b"<123"


def test_cut_before_reply_loses_the_reply_of_what_was_done_and_only_once(
    client: socket.socket, proxy: Proxy, echo: _Echo
) -> None:
    dose = proxy.poison(Toxic(kind="cut_before_reply", count=2))
    assert _ask(client, b"first") == b"<first"
    assert _ask(client, b"second") == b""
    assert echo.heard[-1] == b"second"
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as another:
        assert _ask(another, b"third") == b"<third"
    assert dose.strikes == 1


def test_only_what_is_asked_with_those_words_in_it_counts(client: socket.socket, proxy: Proxy) -> None:
    proxy.poison(Toxic(kind="cut_before_reply", count=1, within="page"))
    assert _ask(client, b"first") == b"<first"
    assert _ask(client, b"a page") == b""


def test_a_bomb_is_the_answer_to_whatever_is_asked(client: socket.socket, proxy: Proxy) -> None:
    proxy.poison(Toxic(kind="bomb"))
    client.sendall(b"GET / HTTP/1.1")
    got = b""
    while piece := client.recv(65_536):
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert len(zlib.decompressobj(31).decompress(body, 1_000)) == 1_000


def test_cut_in_reply_ends_inside_it_and_only_once(client: socket.socket, proxy: Proxy) -> None:
    proxy.poison(Toxic(kind="cut_in_reply", bytes=9))
    assert _ask(client, b"abc") == b"<abc"
    assert _ask(client, b"123456789") == b"<1234"
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as another:
        assert _ask(another, b"123456789") == b"<123456789"

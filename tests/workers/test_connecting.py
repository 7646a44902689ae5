"""A request ends within its time though the resolver, or an address that it named, says nothing."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bus.errors import ExchangeUnavailable
from tests.certificates import Authority
from workers import connecting
from workers.http import HttpClient

#: An address for documents (RFC 5737), in place of one where nobody answers.
NOBODY = "192.0.2.1"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A resolver that says nothing until the test is over; the names that it was asked for."""
    names: list[str] = []
    is_over, truth = threading.Event(), socket.getaddrinfo

    def silent(host: str, *args: Any, **options: Any) -> Any:
        if host.endswith(".test"):
            names.append(host)
            is_over.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return truth(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    yield names
    is_over.set()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have every name resolve to these addresses."""
    kinds = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_: [(*kinds, (one, port)) for one in addresses])


def why(url: str, **limits: float) -> str:
    with HttpClient("bingx", url, lambda _: None, **limits) as client, pytest.raises(ExchangeUnavailable) as caught:
        client.get("/", {}, weight=1)
    return str(caught.value)


def test_a_resolver_that_says_nothing_holds_a_request_no_longer_than_a_connection_may_take(asked: list[str]) -> None:
    began_s = time.monotonic()
    told = why("https://silent.test", connect_timeout_s=0.2)
    assert time.monotonic() - began_s < 2
    assert told == "bingx does not answer at https://silent.test (no connection within 0.2 s)"


def test_however_many_ask_for_a_name_meanwhile_it_is_looked_up_once(asked: list[str]) -> None:
    for _ in range(3):
        why("https://one.test", connect_timeout_s=0.05)
    assert asked == ["one.test"]
    why("https://another.test", connect_timeout_s=0.05)
    assert asked == ["one.test", "another.test"]


def test_a_name_that_could_not_be_resolved_is_looked_up_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    assert why("https://later.test").endswith("(name not resolved)")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    resolve_to(monkeypatch, "127.0.0.1")
    assert why(f"https://later.test:{port}").endswith("(connection refused)")


def test_a_name_that_cannot_be_one_is_no_answer() -> None:
    assert "does not answer" in why(f"http://{'a' * 64}.test")


def silence_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have connections to ``NOBODY`` wait for as long as they may."""
    truth = connecting.create_connection

    def connect(address: tuple[str, int], limit_s: float, *options: Any) -> socket.socket:
        if address[0] != NOBODY:
            return truth(address, limit_s, *options)
        time.sleep(limit_s)
        raise TimeoutError

    monkeypatch.setattr(connecting, "create_connection", connect)


def test_an_address_where_nobody_answers_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    silence_of_nobody(monkeypatch)
    resolve_to(monkeypatch, NOBODY, "127.0.0.1")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        told = why(f"http://two.test:{server.getsockname()[1]}", connect_timeout_s=0.4, read_timeout_s=0.1)
    assert told.endswith("(silent for 0.1 s)"), "it was connected to the second"


def test_many_addresses_where_nobody_answers_take_no_longer_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    silence_of_nobody(monkeypatch)
    resolve_to(monkeypatch, *[NOBODY] * 8)
    began_s = time.monotonic()
    assert why("http://eight.test", connect_timeout_s=0.3).endswith("(no connection within 0.3 s)")
    assert time.monotonic() - began_s < 1.5


def test_tls_is_asked_for_by_the_name_not_by_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str | None] = []
    context = Authority(tmp_path).server_context("named.test")
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    resolve_to(monkeypatch, "127.0.0.1")

    def shake_hands(server: socket.socket) -> None:
        with closing(server.accept()[0]) as plain:
            try:
                context.wrap_socket(plain, server_side=True).close()
            except OSError:  # the client does not know the authority
                return

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=shake_hands, args=(server,))
        thread.start()
        why(f"https://named.test:{server.getsockname()[1]}")
        thread.join()
    assert names == ["named.test"]

"""An exchange that lies at the level of bytes: every answer is bounded in time and memory, and none leads elsewhere."""

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bus.errors import CandleBusError, ExchangeUnavailable, MalformedPage, SettingsError
from tests.certificates import Authority
from tests.workers.raw_server import Answer, RawServer, repeating, saying
from workers.exchanges import registry
from workers.http import HttpClient, Response

DEADLINE_S = 1.0
OK = b"HTTP/1.1 200 OK\r\n"


def ask(url: str, deadline_s: float = DEADLINE_S) -> Response:
    with HttpClient("bingx", url, lambda _: None, read_timeout_s=deadline_s, deadline_s=deadline_s) as client:
        return client.get("/time", {}, weight=1)


def refused(answer: Answer, deadline_s: float = DEADLINE_S) -> CandleBusError:
    """The error that this answer becomes, in little more than its time and in little memory."""
    with RawServer(answer) as server:
        tracemalloc.start()
        began = time.monotonic()
        try:
            with pytest.raises((ExchangeUnavailable, MalformedPage)) as caught:
                ask(f"http://127.0.0.1:{server.port}", deadline_s)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert time.monotonic() - began < deadline_s + 10
    assert peak < 100 * 2**20
    return caught.value


def bomb(size_mib: int, deep: int = 1) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    body = b"".join(packer.compress(bytes(2**20)) for _ in range(size_mib)) + packer.flush()
    for _ in range(deep - 1):
        body = gzip.compress(body)
    return body


@pytest.mark.parametrize(
    "answer",
    [
        saying(OK, b"X-Long: " + b"a" * 2**20 + b"\r\n\r\n"),
        saying(OK, *(b"X-%d: 1\r\n" % number for number in range(10_000)), b"\r\n"),
        saying(b"HTTP/1.1 200 " + b"a" * 2**20 + b"\r\n\r\n"),
        repeating(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
        repeating(b"X-More: 1\r\n", OK),
        repeating(b"a" * 65_536, OK + b"X-Long: "),
        repeating(b"\r\n" * 1_000),
        repeating(b"a" * 65_536),
        repeating(b"H", every_s=0.05),
        repeating(b"a", OK + b"Content-Length: 1000\r\n\r\n", every_s=0.05),
        repeating(b"1\r\na\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n", every_s=0.05),
        repeating(b"1;" + b"x" * 60_000 + b"\r\na\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n"),
        repeating(b"a" * 65_536, OK + b"Transfer-Encoding: chunked\r\n\r\n1;"),
        repeating(b"10000\r\n" + bytes(65_536) + b"\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n"),
        repeating(b"X-Trailer: 1\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"),
        saying(OK, b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc"),
        saying(OK, b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc"),
        saying(OK, b"Content-Length: 10\r\n\r\nabc"),
        saying(OK, b"Content-Length: 99999999999999999999999999\r\n\r\nabc"),
        saying(b"nonsense\r\n\r\n"),
        saying(b"\x00\xff\x16\x03\x01"),
        saying(b""),
    ],
    ids=[
        "long header", "10,000 headers", "long status line", "endless 100", "endless headers",
        "endless header", "endless blank lines", "endless line", "dribbled line", "dribbled body", "dribbled chunks",
        "long chunk extensions", "endless chunk extension", "endless chunks", "endless trailers", "huge chunk",
        "negative chunk", "short body", "huge length", "no HTTP", "bytes", "nothing",
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused_in_bounds(answer: Answer) -> None:
    refused(answer)


@pytest.mark.slow
@pytest.mark.parametrize("deep", [1, 2, 10])
def test_a_bomb_is_refused_before_it_is_unpacked(deep: int) -> None:
    encodings = b", ".join([b"gzip"] * deep)
    body = bomb(512, deep)
    assert len(body) < 2**20
    error = refused(
        saying(OK, b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encodings, len(body)), body), 10
    )
    assert isinstance(error, MalformedPage)


@pytest.mark.slow
def test_compression_that_brings_nothing_and_never_ends_is_refused() -> None:
    empty = gzip.compress(b"")
    refused(repeating(empty * 500, OK + b"Content-Encoding: gzip\r\n\r\n"), 2)
    refused(repeating(bytes(1_000), OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}")), 2)


def test_many_small_bombs_in_one_body_stop_at_the_cap_too() -> None:
    error = refused(repeating(bomb(8), OK + b"Content-Encoding: gzip\r\n\r\n"), 10)
    assert "more than 32 MiB" in str(error)


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 2\r\nContent-Length: 2000\r\n\r\n{}",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"Content-Length: -1\r\n\r\n{}",
        b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        b"Content-Length: 0\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    ],
    ids=["two lengths", "length and chunks", "negative length", "an answer too many", "three answers"],
)
def test_what_follows_an_answer_is_never_taken_for_the_next_one(headers: bytes) -> None:
    with RawServer(saying(OK, headers)) as server:
        url = f"http://127.0.0.1:{server.port}"
        with HttpClient("bingx", url, lambda _: None, read_timeout_s=1, deadline_s=2) as client:
            for _ in range(2):
                try:
                    assert b"poison" not in client.get("/", {}, weight=1).body
                except (ExchangeUnavailable, MalformedPage):
                    continue


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://2130706433:{port}/",
        "http://localhost:{port}/", "http://0x7f.1:{port}/", "http://user:pw@127.0.0.1:{port}/", "/again", "",
        "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "gopher://127.0.0.1/", "\\\\127.0.0.1\\x",
    ],
)  # fmt: skip
def test_no_answer_leads_elsewhere(status: int, target: str) -> None:
    with RawServer(saying(OK)) as elsewhere:
        location = target.format(port=elsewhere.port).encode()
        moved = b"HTTP/1.1 %d Moved\r\nLocation: %b\r\nRefresh: 0; url=%b\r\nContent-Length: 0\r\n\r\n"
        with RawServer(saying(moved % (status, location, location))) as server:
            assert ask(f"http://127.0.0.1:{server.port}").status == status
            assert len(server.heard) == 1
        assert elsewhere.heard == []


def test_a_proxy_in_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with RawServer(saying(OK)) as proxy, RawServer(saying(OK, b"Content-Length: 2\r\n\r\n{}")) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login user password CANARY\n")
        monkeypatch.setenv("NETRC", str(netrc))
        assert ask(f"http://127.0.0.1:{server.port}").body == b"{}"
        assert proxy.heard == []
        assert b"uthorization" not in server.heard[0]


def test_a_login_in_the_base_url_is_sent_and_stands_in_no_message() -> None:
    with RawServer(saying(b"nonsense")) as server, pytest.raises(ExchangeUnavailable) as caught:
        ask(f"http://user:CANARY@127.0.0.1:{server.port}/path/")
    assert b"GET /path/time HTTP/1.1" in server.heard[0]
    assert b"authorization: basic" in server.heard[0].lower()
    assert "CANARY" not in str(caught.value)
    with pytest.raises(SettingsError) as wrong:
        HttpClient("bingx", "ftp://user:CANARY@host", lambda _: None)
    assert "CANARY" not in str(wrong.value)


@pytest.mark.parametrize("name", registry.names())
def test_the_exchanges_are_asked_over_https(name: str) -> None:
    assert registry.get(name).facts.base_url.startswith("https://")


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this machine trusts."""
    authority = Authority(tmp_path)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(authority.path))
    return authority


def test_a_certificate_that_is_good_is_believed(trusted: Authority) -> None:
    good = saying(OK, b"Content-Length: 2\r\n\r\n{}")
    with RawServer(good, trusted.server_context()) as server:
        assert ask(f"https://127.0.0.1:{server.port}", 5).body == b"{}"


def old_version(authority: Authority, _: Path) -> ssl.SSLContext:
    context = authority.server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def stranger(_: Authority, folder: Path) -> ssl.SSLContext:
    (folder / "other").mkdir()
    return Authority(folder / "other", "somebody else").server_context()


@pytest.mark.parametrize(
    "context",
    [
        lambda authority, _: authority.server_context(days=(-2, -1)),
        lambda authority, _: authority.server_context(days=(1, 2)),
        lambda authority, _: authority.server_context("127.0.0.2"),
        lambda authority, _: authority.server_context("open-api.bingx.com"),
        stranger,
        old_version,
    ],
    ids=["expired", "not yet valid", "another address", "another name", "unknown authority", "TLS 1.1"],
)
def test_a_certificate_that_is_not_good_is_refused(
    trusted: Authority, tmp_path: Path, context: Callable[[Authority, Path], ssl.SSLContext]
) -> None:
    with RawServer(saying(OK), context(trusted, tmp_path)) as server:
        with pytest.raises(ExchangeUnavailable, match="does not answer at https"):
            ask(f"https://127.0.0.1:{server.port}", 5)
        assert server.heard == []


def test_the_environment_cannot_bring_other_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authority.path))
    with RawServer(saying(OK), authority.server_context()) as server, pytest.raises(ExchangeUnavailable):
        ask(f"https://127.0.0.1:{server.port}", 5)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts and says nothing."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield server.getsockname()[1]
        ended.set()


def test_a_stalled_handshake_ends(silent: int) -> None:
    began = time.monotonic()
    url = f"https://127.0.0.1:{silent}"
    client = HttpClient("bingx", url, lambda _: None, connect_timeout_s=0.5, read_timeout_s=0.5, deadline_s=1)
    with client, pytest.raises(ExchangeUnavailable):
        client.get("/", {}, weight=1)
    assert time.monotonic() - began < 10

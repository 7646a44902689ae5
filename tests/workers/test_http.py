import gzip
import socket
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bus.errors import ExchangeUnavailable, MalformedPage, RateLimited, SettingsError
from workers.http import MAX_BODY_BYTES, HttpClient, Request, Response

Serve = Callable[[BaseHTTPRequestHandler], None]


class Stand:
    """A tiny exchange: answers as the test says, and remembers what it was asked over which connection."""

    def __init__(self) -> None:
        self.serve: Serve = lambda request: answer(request, b"{}")
        self.paths: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self.headers: dict[str, str] = {}
        stand = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stand.paths.append(self.path)
                stand.connections.add(self.client_address)
                stand.headers = {k.lower(): v for k, v in self.headers.items()}
                try:
                    stand.serve(self)
                except OSError:  # the client has gone
                    self.close_connection = True

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that leave are no news
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.gone = threading.Event()


def answer(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    request.send_response(status)
    for name, value in ({"content_length": str(len(body))} | headers).items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    thread = threading.Thread(target=stand.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield stand
    stand.gone.set()
    stand.server.shutdown()
    stand.server.server_close()
    thread.join()


@pytest.fixture
def client(stand: Stand) -> Iterator[HttpClient]:
    with HttpClient("bingx", stand.url, lambda weight: None, read_timeout_s=0.4, deadline_s=0.6) as client:
        yield client


def test_an_answer_comes_with_its_status_its_headers_and_its_body(stand: Stand, client: HttpClient) -> None:
    stand.serve = lambda request: answer(request, b'{"code":1}', 418, X_Who="me")
    response = client.get("/time", {"a": "B/C", "n": 1}, weight=1)
    assert (response.status, response.body, response.headers["x-who"]) == (418, b'{"code":1}', "me")
    assert stand.paths == ["/time?a=B%2FC&n=1"]
    assert stand.headers["accept-encoding"] == "gzip"
    assert stand.headers["user-agent"].startswith("candlebus/")


def test_a_connection_is_used_again(stand: Stand, client: HttpClient) -> None:
    for _ in range(3):
        client.get("/", {}, weight=1)
    assert len(stand.connections) == 1


def test_the_gate_hears_every_weight_and_can_hold_a_request_back(stand: Stand) -> None:
    heard: list[int] = []

    def gate(weight: int) -> None:
        heard.append(weight)
        if weight > 3:
            raise RateLimited("bingx", "paused", pause_ms=5)

    with HttpClient("bingx", stand.url, gate) as client:
        client.get("/", {}, weight=3)
        with pytest.raises(RateLimited):
            client.get("/", {}, weight=5)
    assert heard == [3, 5]
    assert len(stand.paths) == 1


def test_a_request_that_is_held_up_on_its_way_to_the_wire_goes_through_the_gate_again(stand: Stand) -> None:
    now_s, passed = 0.0, []

    def gate(weight: int) -> float:
        passed.append(weight)
        return now_s + 1.0

    class Held(HttpClient):
        def _send(self, request: Request) -> Response:
            nonlocal now_s
            now_s += 7.0 if request.url.endswith("/late") else 0.5  # what the set-up of a connection may take
            return super()._send(request)

    with Held("bingx", stand.url, gate, monotonic=lambda: now_s) as client:
        client.get("/soon", {}, weight=2)
        client.get("/late", {}, weight=3)
    assert passed == [2, 3, 3]
    assert stand.paths == ["/soon", "/late"]


def test_a_held_up_request_that_may_not_leave_any_more_does_not(stand: Stand) -> None:
    answers = iter([-1.0])

    def gate(weight: int) -> float:
        for leaves_by_s in answers:
            return leaves_by_s
        raise RateLimited("bingx", "paused", pause_ms=5)

    with HttpClient("bingx", stand.url, gate) as client:
        with pytest.raises(RateLimited):
            client.get("/", {}, weight=1)
        assert stand.paths == []
        answers = iter([float("inf")])
        assert client.get("/", {}, weight=1).status == 200


def test_a_redirect_is_handed_back_not_followed(stand: Stand, client: HttpClient) -> None:
    stand.serve = lambda request: answer(request, b"", 302, Location="/elsewhere")
    assert client.get("/", {}, weight=1).status == 302
    assert len(stand.paths) == 1


def test_the_body_of_a_redirect_is_bounded_too(stand: Stand, client: HttpClient) -> None:
    stand.serve = lambda request: answer(request, b"x", 302, Location="/", content_length=str(2**40))
    with pytest.raises(MalformedPage, match="more than 8 MiB"):
        client.get("/", {}, weight=1)


def test_cookies_are_not_kept(stand: Stand, client: HttpClient) -> None:
    stand.serve = lambda request: answer(request, b"{}", Set_Cookie="who=me")
    client.get("/", {}, weight=1)
    client.get("/", {}, weight=1)
    assert "cookie" not in stand.headers


def test_compressed_bodies_arrive_decompressed(stand: Stand, client: HttpClient) -> None:
    stand.serve = lambda request: answer(request, gzip.compress(b"[1,2]" * 100_000), Content_Encoding="gzip")
    assert client.get("/", {}, weight=1).body == b"[1,2]" * 100_000


def test_a_gzip_bomb_stops_at_the_cap(stand: Stand) -> None:
    bomb = gzip.compress(bytes(2 * MAX_BODY_BYTES))
    stand.serve = lambda request: answer(request, bomb, Content_Encoding="gzip")
    with HttpClient("bingx", stand.url, lambda _: None) as client, pytest.raises(MalformedPage, match="32 MiB"):
        client.get("/", {}, weight=1)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "deflate"])
def test_other_encodings_are_refused(stand: Stand, client: HttpClient, encoding: str) -> None:
    stand.serve = lambda request: answer(request, b"{}", Content_Encoding=encoding)
    with pytest.raises(MalformedPage, match="encoding"):
        client.get("/", {}, weight=1)


def test_damaged_compression_is_a_malformed_page(stand: Stand, client: HttpClient) -> None:
    stand.serve = lambda request: answer(request, b"no gzip at all", Content_Encoding="gzip")
    with pytest.raises(MalformedPage, match="damaged compression"):
        client.get("/", {}, weight=1)


def test_endless_bodies_of_unknown_length_stop_at_the_cap(stand: Stand) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        while not stand.gone.is_set():
            request.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    stand.serve = endless
    with HttpClient("bingx", stand.url, lambda _: None) as client, pytest.raises(MalformedPage, match="8 MiB"):
        client.get("/", {}, weight=1)


def dribble(stand: Stand, pieces: bytes) -> Serve:
    def serve(request: BaseHTTPRequestHandler) -> None:
        while not stand.gone.wait(0.05):
            request.wfile.write(pieces)

    return serve


def test_a_dribbled_body_ends_at_the_deadline(stand: Stand, client: HttpClient) -> None:
    def serve(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        dribble(stand, b"x")(request)

    stand.serve = serve
    with pytest.raises(ExchangeUnavailable, match=r"no whole answer within 0\.6 s"):
        client.get("/", {}, weight=1)


@pytest.mark.parametrize("pieces", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["header", "continue"])
def test_dribbled_headers_end_at_the_deadline_too(stand: Stand, client: HttpClient, pieces: bytes) -> None:
    stand.serve = dribble(stand, pieces)
    with pytest.raises(ExchangeUnavailable, match=r"no whole answer within 0\.6 s"):
        client.get("/", {}, weight=1)


def test_silence_ends_at_the_read_timeout(stand: Stand, client: HttpClient) -> None:
    stand.serve = lambda request: stand.gone.wait(2) and None
    with pytest.raises(ExchangeUnavailable, match=r"silent for 0\.4 s"):
        client.get("/", {}, weight=1)


def close_early(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


def test_a_truncated_body_is_no_answer(stand: Stand, client: HttpClient) -> None:
    def serve(request: BaseHTTPRequestHandler) -> None:
        answer(request, b'{"code":0', content_length="100")
        close_early(request)

    stand.serve = serve
    with pytest.raises(ExchangeUnavailable, match="answer cut off"):
        client.get("/", {}, weight=1)


def test_a_truncated_chunk_is_no_answer(stand: Stand, client: HttpClient) -> None:
    def serve(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"100\r\nshort")
        close_early(request)

    stand.serve = serve
    with pytest.raises(ExchangeUnavailable, match="answer cut off"):
        client.get("/", {}, weight=1)


def test_a_connection_closed_without_an_answer_is_said(stand: Stand, client: HttpClient) -> None:
    stand.serve = close_early
    with pytest.raises(ExchangeUnavailable, match="closed without an answer"):
        client.get("/", {}, weight=1)


def test_too_many_headers_are_no_answer(stand: Stand, client: HttpClient) -> None:
    stand.serve = lambda request: answer(request, b"{}", **{f"X_{n}": "x" for n in range(10_000)})
    with pytest.raises(ExchangeUnavailable):
        client.get("/", {}, weight=1)


def test_what_goes_wrong_once_does_not_spoil_the_next_request(stand: Stand, client: HttpClient) -> None:
    stand.serve = close_early
    with pytest.raises(ExchangeUnavailable):
        client.get("/", {}, weight=1)
    stand.serve = lambda request: answer(request, b"{}")
    assert client.get("/", {}, weight=1).status == 200


def test_a_refused_connection_names_the_address() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with HttpClient("bingx", url, lambda _: None) as client, pytest.raises(ExchangeUnavailable) as caught:
        client.get("/", {}, weight=1)
    assert str(caught.value) == f"bingx does not answer at {url} (connection refused)"


def test_a_plain_server_behind_https_is_no_answer(stand: Stand) -> None:
    url = stand.url.replace("http:", "https:")
    with HttpClient("bingx", url, lambda _: None) as client, pytest.raises(ExchangeUnavailable, match="TLS failed"):
        client.get("/", {}, weight=1)


@pytest.mark.parametrize(
    "url", ["ftp://host", "file:///etc/passwd", "host:80", "http://", "", "http://[", "http://a b", "http://:80"]
)
def test_only_http_addresses_are_asked(url: str) -> None:
    with pytest.raises(SettingsError):
        HttpClient("bingx", url, lambda _: None)


def test_a_login_in_the_address_is_sent_and_stands_in_no_message(stand: Stand) -> None:
    url = stand.url.replace("//", "//us%40er:p%3Ass@")
    with HttpClient("bingx", url, lambda _: None) as client:
        client.get("/", {}, weight=1)
        assert client.base_url == stand.url
        stand.serve = close_early
        with pytest.raises(ExchangeUnavailable) as caught:
            client.get("/", {}, weight=1)
    assert b64decode(stand.headers["authorization"].removeprefix("Basic ")) == b"us@er:p:ss"
    assert "er:" not in str(caught.value)

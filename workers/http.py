"""One HTTP client for questions to an exchange: every answer is bounded in time and size, nothing is retried."""

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlencode, urlsplit

import msgspec
import requests
from urllib3.exceptions import DecodeError, HTTPError, LocationParseError
from urllib3.exceptions import TimeoutError as LibraryTimeout
from urllib3.util import make_headers, parse_url

from bus.errors import ExchangeUnavailable, MalformedPage, SettingsError
from bus.text import address
from workers.http_session import CHUNK_BYTES, OWN_HEADERS, BoundedAdapter

MAX_WIRE_BYTES: Final = 8 * 2**20
MAX_BODY_BYTES: Final = 32 * 2**20

Params = Mapping[str, str | int]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A question to any address, for adapters that do not write their questions themselves."""

    method: str = "GET"
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | str | None = None


class Response(msgspec.Struct, frozen=True):
    """A whole answer.

    Attributes:
        headers: By lower-case name.
        body: Decompressed, at most ``MAX_BODY_BYTES``.
    """

    status: int
    headers: dict[str, str]
    body: bytes


class HttpClient:
    """Asks one exchange over warm connections; belongs to one thread.

    Args:
        exchange_name: Named in errors.
        base_url: Scheme and host, ``http`` or ``https``; everything else about the address comes from the adapters.
            A user and password in it are sent with every request and stand in no message.
        gate: Called with the request's weight; it waits for the budget or raises, and says until when the request must
            have left, in seconds of ``monotonic``, or None for whenever. A request that is held up on its way to the
            wire, by the set-up of its connection or because the process was stopped, goes through it again.
        connect_timeout_s: Longest wait for a connection.
        read_timeout_s: Longest silence of the exchange.
        deadline_s: From the gate's consent to the last byte of the answer.
        monotonic: Seconds of a clock that never steps.
        on_answer: Told of every whole answer, whatever it says.

    Raises:
        SettingsError: The base URL is not one.
    """

    def __init__(
        self,
        exchange_name: str,
        base_url: str,
        gate: Callable[[int], float | None],
        *,
        connect_timeout_s: float = 5,
        read_timeout_s: float = 10,
        deadline_s: float = 20,
        monotonic: Callable[[], float] = time.monotonic,
        on_answer: Callable[[Response], None] | None = None,
    ) -> None:
        if not _is_base_url(base_url):
            raise SettingsError(f"{address(base_url)!r} is no base URL of {exchange_name}; write https://HOST")
        self.exchange_name = exchange_name
        self.base_url, login = _without_login(base_url.rstrip("/"))
        self._headers = OWN_HEADERS | login
        self._gate = gate
        self._on_answer = on_answer
        self._timeouts_s = (connect_timeout_s, read_timeout_s)
        self._deadline_s = deadline_s
        self._monotonic = monotonic
        self._ends_s = self._leaves_by_s = float("inf")
        self._weight = 0
        self._adapter = BoundedAdapter(self._patience_s, self._check_budget)

    def get(self, path: str, params: Params, *, weight: int) -> Response:
        """The answer to one request, whatever its status says.

        Raises:
            ExchangeUnavailable: The exchange does not answer, or not to the end.
            MalformedPage: The answer is larger than an honest one, or damaged.
        """
        query = f"?{urlencode(params)}" if params else ""
        return self.send(Request(url=self.base_url + path + query), weight=weight)

    def send(self, request: Request, *, weight: int) -> Response:
        """The answer to a request to any address, whatever its status says.

        Raises:
            ExchangeUnavailable: The exchange does not answer, or not to the end.
            MalformedPage: The answer is larger than an honest one, or damaged.
        """
        self._weight = weight
        self._pass_gate()
        try:
            answer = self._send(request)
        except DecodeError as error:
            raise MalformedPage(self.exchange_name, f"{self.exchange_name} sent damaged compression") from error
        except (requests.RequestException, HTTPError, http.client.HTTPException, OSError) as error:
            raise ExchangeUnavailable(
                self.exchange_name,
                f"{self.exchange_name} does not answer at {origin(request.url)} ({self._cause(error)})",
            ) from error
        if self._on_answer is not None:
            self._on_answer(answer)
        return answer

    def _pass_gate(self) -> None:
        leaves_by_s = self._gate(self._weight)
        self._leaves_by_s = float("inf") if leaves_by_s is None else leaves_by_s
        self._ends_s = self._monotonic() + self._deadline_s

    def _check_budget(self) -> None:
        """Called when the connection stands, right before bytes leave."""
        while self._monotonic() > self._leaves_by_s:
            self._pass_gate()

    def close(self) -> None:
        """Close the connections; the client is of no use afterwards."""
        self._adapter.close()

    def __enter__(self) -> "HttpClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, request: Request) -> Response:
        prepared = requests.PreparedRequest()
        prepared.prepare(request.method, request.url, {**self._headers, **request.headers}, data=request.body)
        answer = self._adapter.send(prepared, stream=True, timeout=self._timeouts_s)
        try:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            self._check_headers(headers)
            return Response(answer.status_code, headers, self._body(answer))
        finally:
            answer.close()  # ends the connection of an answer that was not read to its end, and of no other

    def _check_headers(self, headers: dict[str, str]) -> None:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip"):  # others would pass undecoded, or inflate in one piece
            raise MalformedPage(self.exchange_name, f"{self.exchange_name} sent the encoding {encoding[:40]!r}")
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and (len(length) > 12 or int(length) > MAX_WIRE_BYTES):
            raise self._too_large(MAX_WIRE_BYTES)

    def _body(self, answer: requests.Response) -> bytes:
        chunks: list[bytes] = []
        left_bytes = MAX_BODY_BYTES
        # read1 hands over what has come; read would wait for a full chunk and so for a dribbling exchange.
        while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True):
            chunks.append(chunk)
            left_bytes -= len(chunk)
            if answer.raw.tell() > MAX_WIRE_BYTES:
                raise self._too_large(MAX_WIRE_BYTES)
            if left_bytes < 0:
                raise self._too_large(MAX_BODY_BYTES)
            self._patience_s()
        return b"".join(chunks)

    def _too_large(self, most_bytes: int) -> MalformedPage:
        return MalformedPage(self.exchange_name, f"{self.exchange_name} sent more than {most_bytes // 2**20} MiB")

    def _patience_s(self) -> float:
        left_s = self._ends_s - self._monotonic()
        if left_s <= 0:
            raise TimeoutError(f"no whole answer within {self._deadline_s:g} s")
        return min(left_s, self._timeouts_s[1])

    def _cause(self, error: BaseException) -> str:
        chain = list(_chain(error))
        for kind, words in _CAUSES.items():
            found = next((link for link in chain if isinstance(link, kind)), None)
            if found is not None:
                return words or str(getattr(found, "verify_message", "") or "TLS failed")
        if any(isinstance(link, requests.ConnectTimeout) for link in chain):
            return f"no connection within {self._timeouts_s[0]:g} s"
        if any(isinstance(link, TimeoutError | LibraryTimeout | requests.Timeout) for link in chain):
            is_late = self._monotonic() >= self._ends_s
            limit_s, what = (
                (self._deadline_s, "no whole answer within") if is_late else (self._timeouts_s[1], "silent for")
            )
            return f"{what} {limit_s:g} s"
        return "answer cut off"


_CAUSES: Final[dict[type[BaseException], str]] = {
    ssl.SSLError: "",
    ConnectionRefusedError: "connection refused",
    http.client.RemoteDisconnected: "connection closed without an answer",
    ConnectionResetError: "connection reset",
    BrokenPipeError: "connection reset",
    socket.gaierror: "name not resolved",
}


def origin(url: str) -> str:
    """Scheme and host of an address."""
    return "/".join(url.split("/", 3)[:3])


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """The URL without user and password, and the header that says these."""
    login = parse_url(url).auth
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    said = make_headers(basic_auth=unquote(login)) if login else {}
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}", said


def _is_base_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and parse_url(text).host == parts.hostname is not None
    except (ValueError, LocationParseError):
        return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

"""The one place that opens connections to the server; none of them repeats a command by itself."""

import logging
import os
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bus.errors import BusError, BusUnavailable, SettingsError
from bus.server_findings import Finding, findings
from bus.server_look import server_facts
from bus.text import address, printable

_log = logging.getLogger(__name__)
E = TypeVar("E", bound=BaseException)

#: What may stand after the ``?`` of a server's URL. The library takes much more there, such as retries, which would
#: repeat writes.
URL_OPTIONS: Final = {"rediss": ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"), "unix": ("db",)}
#: No command of ours waits longer for its reply; blocking reads must ask for less.
SOCKET_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 5.0


def connect(url: str, *, socket_timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """A client of the server, with a pool of its own. Opens no connection yet.

    The library's own retries are off: its default repeats writes whose reply was lost (redis-py issue 3554).
    Over ``rediss://`` the server's certificate and its host are checked.

    Raises:
        SettingsError: The URL is malformed, has an option that is not in :data:`URL_OPTIONS`, or names a file that
            cannot be read.
    """
    try:
        return redis.Redis.from_url(
            url,
            **_options(url),
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            socket_timeout=socket_timeout_s,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            health_check_interval=30,
        )
    except ValueError:
        # The library's own words may quote a part of the password.
        raise SettingsError(
            f"{address(url)} is no Redis address; in a password write / @ and ? as %2F %40 and %3F"
        ) from None


def _options(url: str) -> dict[str, bool]:
    """What the scheme of the URL asks of the library, once its query is found to change nothing else."""
    parts = urlsplit(url)
    for name, value in parse_qsl(parts.query):
        if name not in URL_OPTIONS.get(parts.scheme, ()):
            known = " ".join(URL_OPTIONS.get(parts.scheme, ())) or "none"
            raise SettingsError(f"{address(url)} has an unknown option {printable(name, 40)!r}; known here: {known}")
        if name.startswith("ssl_") and not os.access(value, os.R_OK):
            raise SettingsError(f"{address(url)}: {name} names no file that can be read: {printable(value, 200)}")
    return {"ssl_check_hostname": True} if parts.scheme == "rediss" else {}


def wait_until_ready(client: redis.Redis, timeout_s: float, is_alive: Callable[[], bool] = lambda: True) -> None:
    """Return once the server answers.

    Raises:
        BusUnavailable: It did not within ``timeout_s`` seconds, or ``is_alive`` says that it never will.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            client.ping()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            if time.monotonic() >= deadline or not is_alive():
                raise BusUnavailable(f"the server does not answer: {error}") from error
            time.sleep(0.01)
        else:
            return


@contextmanager
def readable_errors(url: str) -> Iterator[None]:
    """Turn the library's errors into ours, which say what to do.

    Raises:
        BusUnavailable: The server is away.
        SettingsError: It refuses the password or the user, or its certificate is not trusted.
        BusError: It refuses a command.
    """
    try:
        yield
    except redis.AuthenticationError as error:
        raise SettingsError(f"the server at {address(url)} refuses the login: {error}") from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        distrusted = _cause(error, ssl.SSLCertVerificationError)
        if distrusted is not None:
            why = f"{distrusted.verify_message}; name the file of its authority with ?ssl_ca_certs=FILE"
            raise SettingsError(f"the server at {address(url)} is not trusted: {why}") from error
        raise BusUnavailable(f"no server answers at {address(url)} ({error}); {_cure(url, error)}") from error
    except redis.exceptions.OutOfMemoryError as error:
        cure = "readers must catch up first (candlebus status), or raise its maxmemory"
        raise BusError(f"the server at {address(url)} has no memory left; {cure}") from error
    except redis.RedisError as error:
        raise BusError(f"the server at {address(url)} refuses: {error}") from error


def _cure(url: str, error: Exception) -> str:
    text = str(error).lower()
    if url.startswith("rediss://") and (_cause(error, ssl.SSLError) is not None or "timeout" in text):
        own = "?ssl_certfile=FILE&ssl_keyfile=FILE"
        return f"if it asks for a certificate of yours, name it with {own}; if it speaks no TLS, write redis://"
    if url.startswith("redis://") and ("reset by peer" in text or "closed by server" in text):
        return "if it speaks TLS, write rediss://"
    return "start one with 'candlebus up EXCHANGE…', or unset CANDLEBUS_REDIS_URL for local mode"


def _cause(error: BaseException | None, kind: type[E]) -> E | None:
    """The error of that kind that this one comes from."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def check_server(client: redis.Redis) -> list[Finding]:
    """What is to be warned of about the server; refuse one on which a promise could not be kept.

    Raises:
        SettingsError: A finding refuses it, such as one that evicts keys; the message names the cure.
        BusUnavailable: The same, where it may pass, such as a full disk.
    """
    found = findings(server_facts(client))
    for finding in found:
        if finding.severity == "refuse":
            raise (BusUnavailable if finding.may_pass else SettingsError)(finding.line)
    return [finding for finding in found if finding.severity == "warn"]


def log_warnings(warnings: Sequence[Finding]) -> None:
    """Say once, at the start of a process, where the server is weaker than it need be."""
    for finding in warnings:
        _log.warning("server", extra={"about": finding.about, "cause": finding.says, "cure": finding.cure})

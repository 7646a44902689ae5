"""The one place that opens connections to the server; none of them repeats a command by itself."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bus.errors import BusError, BusUnavailable, SettingsError
from bus.server_findings import Finding, findings
from bus.server_look import server_facts
from bus.text import address

_log = logging.getLogger(__name__)

#: No command of ours waits longer for its reply; blocking reads must ask for less.
SOCKET_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 5.0


def connect(url: str, *, socket_timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """A client of the server, with a pool of its own. Opens no connection yet.

    The library's own retries are off: its default repeats writes whose reply was lost (redis-py issue 3554).

    Raises:
        SettingsError: The URL is malformed.
    """
    try:
        return redis.Redis.from_url(
            url,
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
        SettingsError: It refuses the password or the user.
        BusError: It refuses a command.
    """
    try:
        yield
    except redis.AuthenticationError as error:
        raise SettingsError(f"the server at {address(url)} refuses the login: {error}") from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise BusUnavailable(
            f"no server answers at {address(url)} ({error}); start one with 'candlebus up EXCHANGE…', "
            "or unset CANDLEBUS_REDIS_URL for local mode"
        ) from error
    except redis.RedisError as error:
        raise BusError(f"the server at {address(url)} refuses: {error}") from error


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

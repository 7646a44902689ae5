"""Settings, read once per process from the environment; nobody else reads it."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec

from bus.errors import SettingsError
from bus.text import address

Pace = Literal["conservative", "half", "full"]
LogForm = Literal["text", "json"]
PACES: Final[tuple[Pace, ...]] = get_args(Pace)
LOG_FORMS: Final[tuple[LogForm, ...]] = get_args(LogForm)
_Name = TypeVar("_Name", bound=str)
_PREFIX: Final = "CANDLEBUS_"
#: What may follow the prefix; the families take the name of an exchange.
VARIABLES: Final = ("REDIS_URL", "PACE", "EGRESS", "HOME", "LOG")
FAMILIES: Final = ("PACE_", "URL_")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says.

    Attributes:
        redis_url: Server of the bus, ``CANDLEBUS_REDIS_URL``; None means local mode.
        pace: How much of the exchanges' limits workers use, ``CANDLEBUS_PACE``.
        paces: Exchange → its own pace, ``CANDLEBUS_PACE_<EXCHANGE>``.
        egress: Name of the address that the exchanges see, ``CANDLEBUS_EGRESS``; one name, one budget.
        urls: Exchange → base URL of a stand-in or proxy, ``CANDLEBUS_URL_<EXCHANGE>``; only workers use it.
        home: Where durable data and locks lie, ``CANDLEBUS_HOME``.
        log: Form of the log lines, ``CANDLEBUS_LOG``.
    """

    redis_url: str | None = None
    pace: Pace = "half"
    paces: dict[str, Pace] = {}
    egress: str = "default"
    urls: dict[str, str] = {}
    home: Path = Path("~/.local/state/candlebus")
    log: LogForm = "text"

    def pace_of(self, exchange: str) -> Pace:
        """The pace at which workers of the exchange ask."""
        return self.paces.get(exchange, self.pace)


def load(environ: Mapping[str, str] | None = None, *, default_pace: Pace = "half") -> Settings:
    """The settings of this process.

    Args:
        default_pace: The pace where ``CANDLEBUS_PACE`` is not set.

    Raises:
        SettingsError: A variable holds what it must not; the message names variable and value.
    """
    env = os.environ if environ is None else environ  # noqa: TID251 - the one reader
    given = {k.removeprefix(_PREFIX): v for k, v in env.items() if k.startswith(_PREFIX) and v}
    return Settings(
        redis_url=_redis_url(given.get("REDIS_URL")),
        pace=_one_of("PACE", given.get("PACE", default_pace), PACES),
        paces={k[5:].lower(): _one_of(k, v, PACES) for k, v in given.items() if k.startswith("PACE_")},
        egress=_egress(given.get("EGRESS", "default")),
        urls={k[4:].lower(): _http_url(k, v) for k, v in given.items() if k.startswith("URL_")},
        home=_home(given.get("HOME"), env),
        log=_one_of("LOG", given.get("LOG", "text"), LOG_FORMS),
    )


def unknown_variables(environ: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Variables with our prefix that nobody reads, each with the likeliest name that was meant."""
    env = os.environ if environ is None else environ  # noqa: TID251 - the one reader
    given = [name.removeprefix(_PREFIX) for name in env if name.startswith(_PREFIX)]
    unknown = [name for name in sorted(given) if name not in VARIABLES and not name.startswith(FAMILIES)]
    likeliest = {name: next(iter(get_close_matches(name, [*VARIABLES, *FAMILIES], n=1)), None) for name in unknown}
    return {_PREFIX + name: _PREFIX + meant if meant else None for name, meant in likeliest.items()}


def check_pace(value: str) -> Pace:
    """The pace of that name.

    Raises:
        SettingsError: There is no such pace.
    """
    return _one_of("PACE", value, PACES)


def environment(settings: Settings) -> dict[str, str]:
    """The variables from which :func:`load` makes these settings again, for child processes."""
    out = {"PACE": settings.pace, "EGRESS": settings.egress, "HOME": str(settings.home), "LOG": settings.log}
    out |= {"REDIS_URL": settings.redis_url} if settings.redis_url else {}
    out |= {f"PACE_{k.upper()}": v for k, v in settings.paces.items()}
    out |= {f"URL_{k.upper()}": v for k, v in settings.urls.items()}
    return {_PREFIX + k: v for k, v in out.items()}


def child_environment(settings: Settings) -> dict[str, str]:
    """The whole environment of a child process: ours, with these settings instead of the ones we were given."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(_PREFIX)}  # noqa: TID251 - the one reader
    return ours | environment(settings)


def _one_of(name: str, value: str, allowed: tuple[_Name, ...]) -> _Name:
    for name_allowed in allowed:
        if value == name_allowed:
            return name_allowed
    raise SettingsError(f"{_PREFIX}{name}={value!r} is none of: {' '.join(allowed)}")


def _egress(value: str) -> str:
    if not value.replace("-", "").replace("_", "").replace(".", "").isalnum() or len(value) > 64:
        raise SettingsError(f"{_PREFIX}EGRESS={value[:80]!r} is not a name of letters, digits, '-', '_', '.'")
    return value


def _redis_url(value: str | None) -> str | None:
    if value is None:
        return None
    scheme = value.partition("://")[0]
    if scheme not in ("redis", "rediss", "unix"):
        raise SettingsError(
            f"{_PREFIX}REDIS_URL={address(value)!r} is no Redis address; "
            "write redis://HOST:PORT/0, rediss://… or unix:///PATH"
        )
    return value


def _http_url(name: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        is_base = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
    except ValueError:
        is_base = False
    if not is_base:
        raise SettingsError(
            f"{_PREFIX}{name}={address(value)!r} is no base URL; write http://HOST:PORT or https://HOST, "
            "with a path if need be and without a query"
        )
    return value.rstrip("/")


def _home(value: str | None, env: Mapping[str, str]) -> Path:
    if value:
        return Path(value).expanduser()
    state = env.get("XDG_STATE_HOME")
    return (Path(state) if state else Path("~/.local/state").expanduser()) / "candlebus"

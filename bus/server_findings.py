"""What a server's own answers say about the promises: refused, warned of, or fine; each with its cure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from bus.server_versions import OLDEST, Product, cuts_torn_blocks_whole, is_too_old, known_holes, product_of

Severity = Literal["refuse", "warn", "ok"]

_SCRIPT: Final = "bus/scripts/serve.sh"
#: A page costs several trips, and workers of one exchange share the time between its slots.
_SLOW_TRIP_MS: Final = 50.0
#: Nothing is decided by the clock of this machine, but its log is dated by it.
_SKEW_MS: Final = 2_000.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found out.

    Attributes:
        severity: ``refuse``: a promise could not be kept; ``warn``: one is weaker than it need be.
        says: What it is and what it means.
        cure: What to do; empty where all is well.
        may_pass: A refusal that may end without a change of settings, such as a full disk: worth another try.
    """

    about: str
    severity: Severity
    says: str
    cure: str = ""
    may_pass: bool = False

    @property
    def line(self) -> str:
        """What it says and what to do, in one line."""
        return f"{self.says}; {self.cure}" if self.cure else self.says


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server answered, and how it was reached.

    Attributes:
        info: Its answer to ``INFO``.
        config: Its answer to ``CONFIG GET`` of :data:`CONFIG`; None where that is forbidden.
        host: Where it was reached; empty for a unix socket.
        is_encrypted: Whether by TLS.
        user: Who asked; empty where nobody logged in.
        has_password: Whether a password was given.
        round_trip_ms: The quickest answer, ms.
        skew_ms: Its clock less this machine's, ms; known to half a round trip.
    """

    info: Mapping[str, Any]
    config: Mapping[str, str] | None
    host: str = ""
    is_encrypted: bool = False
    user: str = ""
    has_password: bool = False
    round_trip_ms: float = 0.0
    skew_ms: float = 0.0

    @property
    def is_off_host(self) -> bool:
        """Whether a network lies between."""
        return bool(self.host) and self.host not in ("localhost", "::1") and not self.host.startswith("127.")


#: The settings that are asked for; none of them is a secret.
CONFIG: Final = ("appendfsync", "aof-load-truncated", "client-output-buffer-limit")


def findings(facts: ServerFacts) -> list[Finding]:
    """Everything there is to say, in the order of a reader's interest."""
    product = product_of(facts.info)
    return [
        *_version(product),
        *_kind(facts.info),
        *_memory(facts.info),
        *_persistence(facts.info, facts.config),
        *_torn_file(product, facts.info, facts.config),
        *_config(facts),
        *_who_may_come_in(facts),
        *_output_limit(facts.config),
        *_distance(facts),
    ]


def _version(product: Product) -> Iterator[Finding]:
    oldest = ".".join(map(str, OLDEST))
    if is_too_old(product):
        says, cure = f"{product} lacks commands that the bus needs", f"run Redis {oldest} or newer, or Valkey"
        yield Finding(about="version", severity="refuse", says=says, cure=cure)
    elif holes := known_holes(product):
        says = f"{product} is listed with {' and '.join(holes)}, unless its distribution has mended it"
        cure = "run its latest release, and give everybody a user of his own (deploy/users.acl)"
        yield Finding(about="version", severity="warn", says=says, cure=cure)
    else:
        yield Finding(about="version", severity="ok", says=str(product))


def _kind(info: Mapping[str, Any]) -> Iterator[Finding]:
    if info.get("cluster_enabled"):
        says = "the server is a Redis Cluster, on which RQ cannot work"
        yield Finding(about="kind", severity="refuse", says=says, cure="use a single server, or Sentinel")
    if info.get("role", "master") != "master":
        says = "the server is a replica, which takes no writes"
        cure = f"name its primary, {info.get('master_host', 'which it follows')}:{info.get('master_port', '')}"
        yield Finding(about="kind", severity="refuse", says=says, cure=cure, may_pass=True)


def _memory(info: Mapping[str, Any]) -> Iterator[Finding]:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        says = f"the server evicts keys when memory runs out (maxmemory-policy {policy}), which loses candles"
        yield Finding(about="memory", severity="refuse", says=says, cure="set maxmemory-policy to noeviction")
        return
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if not limit:
        says = "maxmemory is not set: a full machine ends the server before publishers are slowed down"
        yield Finding(about="memory", severity="warn", says=says, cure="set maxmemory to about half of the machine's")
    elif used > 0.9 * limit:
        says = f"{used / limit:.0%} of maxmemory are in use: workers wait until readers have caught up"
        cure = "see who lags: candlebus status; or raise maxmemory"
        yield Finding(about="memory", severity="warn", says=says, cure=cure)
    else:
        yield Finding(about="memory", severity="ok", says=f"{used / limit:.0%} of {limit / 2**20:.0f} MiB in use")


def _persistence(info: Mapping[str, Any], config: Mapping[str, str] | None) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        says = "the server keeps nothing on disk: whatever ends it loses requests and candles (appendonly no)"
        yield Finding(
            about="disk", severity="warn", says=says, cure="start it with --appendonly yes --appendfsync always"
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        says = "the server cannot write its append-only file, and refuses writes"
        cure = "make room on its disk; see its log"
        yield Finding(about="disk", severity="refuse", says=says, cure=cure, may_pass=True)
    elif config is not None and config.get("appendfsync") != "always":
        says = f"a power loss takes up to two seconds of acknowledged writes (appendfsync {config.get('appendfsync')})"
        yield Finding(about="disk", severity="warn", says=says, cure="set appendfsync to always")
    elif config is not None:
        yield Finding(about="disk", severity="ok", says="append-only file, synced at every write")


def _torn_file(product: Product, info: Mapping[str, Any], config: Mapping[str, str] | None) -> Iterator[Finding]:
    if not info.get("aof_enabled") or config is None:
        return
    if config.get("aof-load-truncated") == "no":
        yield Finding(about="torn file", severity="ok", says="a torn file is not loaded unrepaired")
    elif not cuts_torn_blocks_whole(product):
        says = f"after a power loss {product} may cut its file inside a block, and lose what is written after that"
        cure = f"start it through {_SCRIPT}, which repairs the file before"
        yield Finding(about="torn file", severity="warn", says=says, cure=cure)


def _config(facts: ServerFacts) -> Iterator[Finding]:
    if facts.config is not None:
        return
    if facts.user:  # as the roles of deploy/users.acl have it
        yield Finding(about="config", severity="ok", says=f"not for the user {facts.user} to read")
    else:
        says = "the server does not tell its settings (CONFIG is forbidden): whether writes are synced is unknown"
        cure = "make sure of appendfsync always and noeviction where you set it up"
        yield Finding(about="config", severity="warn", says=says, cure=cure)


def _who_may_come_in(facts: ServerFacts) -> Iterator[Finding]:
    if not facts.is_off_host:
        return
    if not facts.has_password:
        says = f"whoever reaches {facts.host} may do everything on the server: no password was asked for"
        cure = "give each role a user with a password (deploy/users.acl); redis://USER:PASSWORD@HOST"
        yield Finding(about="login", severity="warn", says=says, cure=cure)
    else:
        yield Finding(about="login", severity="ok", says=f"logged in as {facts.user or 'default'}")
    if not facts.is_encrypted:
        says = f"passwords and candles travel to {facts.host} in clear"
        cure = "rediss://…?ssl_ca_certs=FILE, unless the network between is private"
        yield Finding(about="encryption", severity="warn", says=says, cure=cure)
    else:
        yield Finding(about="encryption", severity="ok", says="TLS, certificate and host checked")


def _output_limit(config: Mapping[str, str] | None) -> Iterator[Finding]:
    limits = (config or {}).get("client-output-buffer-limit", "").split()
    if limits[:3] == ["normal", "0", "0"]:
        says = "a client that asks and does not read can take all memory (client-output-buffer-limit normal 0 0 0)"
        cure = "set client-output-buffer-limit to 'normal 256mb 128mb 60'"
        yield Finding(about="output limit", severity="warn", says=says, cure=cure)


def _distance(facts: ServerFacts) -> Iterator[Finding]:
    trip = f"{facts.round_trip_ms:.1f} ms to the server and back"
    if facts.round_trip_ms > _SLOW_TRIP_MS:
        cure = "run workers near the server: a page takes several trips"
        yield Finding(about="distance", severity="warn", says=trip, cure=cure)
    else:
        yield Finding(about="distance", severity="ok", says=trip)
    if abs(facts.skew_ms) - facts.round_trip_ms / 2 > _SKEW_MS:
        where = "ahead of" if facts.skew_ms > 0 else "behind"
        apart = f"{abs(facts.skew_ms) / 1000:.1f} s {where} this machine's"
        says = f"the server's clock is {apart}; no candle depends on it"
        yield Finding(about="clock", severity="warn", says=says, cure="keep both by NTP, so that logs can be compared")
    else:
        yield Finding(about="clock", severity="ok", says="the clocks of server and this machine agree")

"""What a server's answers mean for the promises, and what to do about it."""

from typing import Any

import pytest

from bus.connection import check_server, connect
from bus.embedded import EmbeddedServer
from bus.errors import BusUnavailable, SettingsError
from bus.server_findings import Finding, ServerFacts, findings
from bus.server_versions import Product, cuts_torn_blocks_whole, known_holes, product_of

INFO = {
    "redis_version": "7.2.4",
    "server_name": "valkey",
    "valkey_version": "9.1.2",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "maxmemory": 1_000,
    "used_memory": 100,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
}
CONFIG = {
    "appendfsync": "always",
    "aof-load-truncated": "no",
    "client-output-buffer-limit": "normal 268435456 134217728 60 slave 0 0 0",
}
REDIS_7 = {"server_name": "redis", "redis_version": "7.0.15"}
NOBODY_ASKED = {"host": "10.0.0.5", "has_password": False}


def found(info: dict[str, Any] | None = None, **about: Any) -> list[Finding]:
    return findings(ServerFacts(info=INFO | (info or {}), **({"config": CONFIG} | about)))


def test_of_a_server_as_it_should_be_there_is_nothing_to_say() -> None:
    assert {finding.severity for finding in found()} == {"ok"}
    assert not any(finding.cure for finding in found())


@pytest.mark.parametrize(
    ("about", "severity", "info", "how", "words"),
    [
        ("version", "refuse", {"server_name": "", "redis_version": "6.2.14"}, {}, "Redis 6.2.14 lacks commands"),
        ("version", "warn", REDIS_7, {}, "CVE-2025-49844"),
        ("kind", "refuse", {"cluster_enabled": 1}, {}, "Redis Cluster"),
        ("kind", "refuse", {"role": "slave", "master_host": "a", "master_port": 1}, {}, "primary, a:1"),
        ("memory", "refuse", {"maxmemory_policy": "allkeys-lru"}, {}, "allkeys-lru"),
        ("memory", "warn", {"maxmemory": 0}, {}, "maxmemory is not set"),
        ("memory", "warn", {"used_memory": 950}, {}, "95% of maxmemory"),
        ("disk", "warn", {"aof_enabled": 0}, {}, "--appendonly yes"),
        ("disk", "warn", {}, {"config": CONFIG | {"appendfsync": "everysec"}}, "appendfsync everysec"),
        ("disk", "refuse", {"aof_last_write_status": "err"}, {}, "make room"),
        ("torn file", "warn", REDIS_7, {"config": CONFIG | {"aof-load-truncated": "yes"}}, "serve.sh"),
        ("config", "warn", {}, {"config": None}, "CONFIG is forbidden"),
        ("config", "ok", {}, {"config": None, "user": "worker"}, "the user worker"),
        ("login", "warn", {}, NOBODY_ASKED, "no password was asked for"),
        ("encryption", "warn", {}, NOBODY_ASKED, "in clear"),
        ("encryption", "ok", {}, NOBODY_ASKED | {"is_encrypted": True}, "TLS"),
        ("output limit", "warn", {}, {"config": CONFIG | {"client-output-buffer-limit": "normal 0 0 0"}}, "256mb"),
        ("distance", "warn", {}, {"round_trip_ms": 80.0}, "80.0 ms"),
        ("clock", "warn", {}, {"skew_ms": -3_600_000.0}, "3600.0 s behind"),
    ],
)
def test_each_weakness_is_found_with_its_cure(
    about: str, severity: str, info: dict[str, Any], how: dict[str, Any], words: str
) -> None:
    [finding] = [one for one in found(info, **how) if one.about == about]
    assert finding.severity == severity
    assert words in finding.line
    assert bool(finding.cure) == (severity != "ok")


def test_a_skew_within_the_doubt_of_a_slow_trip_is_none() -> None:
    assert {one.severity for one in found(round_trip_ms=6_000.0, skew_ms=2_500.0) if one.about == "clock"} == {"ok"}


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1", "::1"])
def test_without_a_network_between_neither_password_nor_encryption_is_asked_for(host: str) -> None:
    assert not [one for one in found(host=host) if one.about in ("login", "encryption")]


@pytest.mark.parametrize(
    ("name", "version", "holes"),
    [
        ("Redis", (7, 2, 10), 2),
        ("Redis", (7, 2, 11), 1),
        ("Redis", (8, 0, 4), 1),
        ("Redis", (8, 2, 1), 2),
        ("Redis", (8, 6, 3), 0),
        ("Valkey", (8, 0, 5), 1),
        ("Valkey", (8, 0, 6), 0),
        ("Valkey", (8, 1, 8), 1),
        ("Valkey", (9, 1, 2), 0),
        ("Another", (1,), 0),
    ],
)
def test_a_hole_counts_by_branch(name: str, version: tuple[int, ...], holes: int) -> None:
    assert len(known_holes(Product(name, version))) == holes


@pytest.mark.parametrize(
    ("name", "version", "right"),
    [
        ("Valkey", (8, 0, 11), True),
        ("Valkey", (8, 1, 9), False),
        ("Valkey", (8, 1, 10), True),
        ("Valkey", (9, 1, 1), False),
        ("Valkey", (9, 1, 2), True),
        ("Redis", (8, 6, 3), False),
    ],
)
def test_only_newer_valkeys_mend_a_torn_file_themselves(name: str, version: tuple[int, ...], right: bool) -> None:
    assert cuts_torn_blocks_whole(Product(name, version)) == right


def test_a_version_that_cannot_be_read_is_too_old_rather_than_an_error() -> None:
    assert product_of({"redis_version": "unstable"}).version == (0,)


def test_a_start_is_refused_with_the_finding_s_line_and_its_cure() -> None:
    with EmbeddedServer() as server:
        client = connect(server.url)
        assert [one.about for one in check_server(client) if one.about != "version"] == ["disk"]
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(SettingsError, match=r"allkeys-lru.*; set maxmemory-policy to noeviction"):
            check_server(client)
        client.config_set("maxmemory-policy", "noeviction")
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(BusUnavailable, match="is a replica"):  # may become a primary: worth another try
            check_server(client)
        client.close()

"""docker-compose.yml: read, and run service by service with the programs of this machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis

from bus.settings import load
from candlebus.sandbox import Sandbox
from producers.client import Producer
from tests.deploy.containers import (
    ROOT,
    Machine,
    arguments_after,
    becomes_healthy,
    documents,
    ends_when_asked,
    stages,
)

FILE: dict[str, Any] = documents(ROOT / "docker-compose.yml")[0]
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = [name for name in SERVICES if name != "bus"]


def command_of(service: dict[str, Any]) -> list[str]:
    entry: list[str] = service.get("entrypoint") or stages()[-1].argv("ENTRYPOINT")
    return entry + list(service["command"])


def check_of(service: dict[str, Any]) -> list[str]:
    kind, *rest = service["healthcheck"]["test"]
    return ["sh", "-c", *rest] if kind == "CMD-SHELL" else rest


def mounts_of(service: dict[str, Any], data: Path) -> dict[str, str]:
    """Path in the container → path here."""
    found = {}
    for volume in service.get("volumes", []):
        source, target = volume.split(":")[:2]
        found[target] = str((ROOT / source).resolve()) if source.startswith(".") else str(data)
    return found


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Sandbox() as sandbox:
        urls = {f"CANDLEBUS_URL_{name.upper()}": url for name, url in sandbox.urls.items()}
        host = Machine(tmp_path, urls)
        yield host
        host.end()


def test_every_service_has_a_health_check_and_comes_back_whatever_it_ended_with() -> None:
    assert {name for name, service in SERVICES.items() if "test" not in service["healthcheck"]} == set()
    assert {service["restart"] for service in SERVICES.values()} == {"always"}


def test_every_service_has_longer_to_end_than_is_promised_and_may_write_nowhere_else() -> None:
    for service in SERVICES.values():
        assert int(service["stop_grace_period"].removesuffix("s")) > 25
        assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])


def test_services_and_volumes_that_are_named_exist() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        named = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        assert {name for name in named if not name.startswith(".")} <= set(FILE["volumes"])
        assert [name for name in named if name.startswith(".") and not (ROOT / name).is_file()] == []


def test_our_services_are_told_what_settings_know_and_where_the_server_is() -> None:
    listens = 6379  # the server's own default, which its command leaves
    for name in OURS:
        settings = load(SERVICES[name]["environment"])
        assert set(SERVICES[name]["environment"]) <= {"CANDLEBUS_REDIS_URL", "CANDLEBUS_PACE"}
        url = urlsplit(settings.redis_url or "")
        assert (url.hostname, url.port) == ("bus", listens)


def test_nothing_but_the_metrics_is_published_and_that_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"metrics": ["127.0.0.1:9464:9464"]}
    assert arguments_after(SERVICES["metrics"]["command"], "--port") == "9464"


@pytest.mark.slow
def test_every_service_starts_by_its_command_becomes_healthy_and_ends_when_asked(
    machine: Machine, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    bus = SERVICES["bus"]
    command = [*machine.argv(command_of(bus), mounts_of(bus, data)), "--port", str(machine.bus_port)]
    ours = {name: machine.argv(command_of(SERVICES[name])) for name in OURS}
    running = {name: machine.start(argv, SERVICES[name]["environment"]) for name, argv in ours.items()}
    machine.start(command, {})  # last: whoever serves a bus may be started before it
    assert becomes_healthy(machine, check_of(bus), {}), machine.log()
    for name in OURS:
        check = machine.argv(check_of(SERVICES[name]))
        assert becomes_healthy(machine, check, SERVICES[name]["environment"]), f"{name}: {machine.log()}"
    with Redis(port=machine.bus_port) as redis:
        assert redis.config_get("appendfsync") == {"appendfsync": "always"}
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        asked = [Producer(redis).enqueue(f"{one}:BTC/USDT:USDT", "30m", limit=5) for one in ("bingx", "kucoinfutures")]
        assert [one.wait(30).state for one in asked] == ["done", "done"]
    assert {name: ends_when_asked(process) for name, process in running.items()} == dict.fromkeys(OURS, True)


@pytest.mark.slow
def test_the_server_comes_back_with_its_data_and_an_unhealthy_one_is_noticed(machine: Machine, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    bus = SERVICES["bus"]
    command = [*machine.argv(command_of(bus), mounts_of(bus, data)), "--port", str(machine.bus_port)]
    assert machine.check(check_of(bus), {}) != 0
    for expected in (None, b"1"):
        server = machine.start(command, {})
        assert becomes_healthy(machine, check_of(bus), {}), machine.log()
        with Redis(port=machine.bus_port) as redis:
            assert redis.getset("kept", 1) == expected
        assert ends_when_asked(server)
    for name in OURS:
        if name != "metrics":
            assert machine.check(check_of(SERVICES[name]), SERVICES[name]["environment"]) == 1

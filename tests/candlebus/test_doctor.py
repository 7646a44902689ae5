"""``candlebus doctor``: what is wrong or weak, and its cure."""

import json
from pathlib import Path

import pytest

from bus import keys
from bus.connection import connect
from bus.embedded import EmbeddedServer
from candlebus.commands import doctor
from tests.candlebus.conftest import Run, RunningBus


def of(out: str, about: str) -> list[str]:
    return [line for line in out.splitlines() if f"  {about}: " in line]


def test_of_a_bus_that_works_it_tells_what_is_well_and_exits_with_0(run: Run, on_bus: RunningBus) -> None:
    ended = run("doctor")
    assert (ended.code, ended.err) == (0, "")
    assert of(ended.out, "workers") == ["ok      workers: 1 of bingx", "ok      workers: 1 of kucoinfutures"]
    assert of(ended.out, "distance")[0].startswith("ok")
    assert not of(ended.out, "exchange")  # nobody on the network is asked unless that was asked for


def test_exchanges_are_asked_only_when_told_to(run: Run, on_bus: RunningBus, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, url in on_bus.sandbox.urls.items():
        monkeypatch.setenv(f"CANDLEBUS_URL_{name.upper()}", url)
    before = on_bus.sandbox.stats("bingx").requests
    ended = run("doctor", "--exchanges")
    assert of(ended.out, "exchange") == ["ok      exchange: bingx answers", "ok      exchange: kucoinfutures answers"]
    assert on_bus.sandbox.stats("bingx").requests == before + 1


def test_an_exchange_that_cannot_be_reached_is_a_warning(run: Run, on_bus: RunningBus) -> None:
    ended = run("doctor", "--exchanges")  # the tests' own addresses answer nobody
    assert ended.code == 0
    assert [line[:4] for line in of(ended.out, "exchange")] == ["warn", "warn"]
    assert "bingx does not answer" in ended.out


def test_a_server_that_evicts_is_exit_code_1_with_its_cure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer() as server:
        client = connect(server.url)
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.close()
        monkeypatch.setenv("CANDLEBUS_REDIS_URL", server.url)
        ended = run("doctor", "--json")
    assert ended.code == 1
    [refused] = [one for one in json.loads(ended.out)["findings"] if one["severity"] == "refuse"]
    assert refused["about"] == "memory"
    assert refused["cure"] == "set maxmemory-policy to noeviction"


def test_streams_that_are_kept_for_a_group_that_is_none_are_named_with_the_cure(run: Run, on_bus: RunningBus) -> None:
    stream = keys.candles("bingx", "1m", "LEFT/USDT:USDT")
    on_bus.redis.xgroup_create(stream, keys.align_consumer_group("left"), id="0", mkstream=True)
    on_bus.redis.sadd(keys.streams(), stream)
    ended = run("doctor")
    assert ended.code == 0
    says = f"align:left holds what no group reads in {stream}, which is never trimmed"
    assert of(ended.out, "groups") == [f"warn    groups: {says}; run candlebus group remove left"]
    assert run("group", "remove", "left").code == 0
    assert of(run("doctor").out, "groups") == []
    on_bus.redis.delete(stream)
    on_bus.redis.srem(keys.streams(), stream)


def test_a_bus_that_is_away_is_one_finding_among_the_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    ended = run("doctor")
    assert ended.code == 1
    assert of(ended.out, "bus")[0].startswith("refuse  bus: no server answers at redis://…@127.0.0.1:1/0")
    assert of(ended.out, "home")
    assert "secret" not in ended.out + ended.err


def test_without_a_bus_it_looks_at_this_machine(run: Run) -> None:
    ended = run("doctor")
    assert ended.code == 0
    assert "starts one of its own with" in of(ended.out, "bus")[0]


def test_variables_that_nobody_reads_are_named_with_what_was_meant(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEBUS_REDIS_ULR", "redis://x")
    monkeypatch.setenv("CANDLEBUS_PACE_BINGXX", "half")
    ended = run("doctor")
    assert ended.code == 0
    assert "nobody reads CANDLEBUS_REDIS_ULR; did you mean CANDLEBUS_REDIS_URL?" in ended.out
    assert "unknown exchange 'bingxx': did you mean bingx?" in ended.out


def test_a_home_that_cannot_be_written_is_refused_and_a_full_disk_warned_of(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "_ENOUGH_BYTES", 2**80)
    ended = run("doctor")
    assert (ended.code, of(ended.out, "home")[0][:4]) == (0, "warn")
    (tmp_path / "file").touch()
    monkeypatch.setenv("CANDLEBUS_HOME", str(tmp_path / "file" / "home"))
    ended = run("doctor")
    assert ended.code == 1
    assert "set CANDLEBUS_HOME" in of(ended.out, "home")[0]


def test_a_wrong_setting_is_a_usage_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEBUS_PACE", "fast")
    assert run("doctor").code == 2

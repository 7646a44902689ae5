"""The manager over a bus, in local mode and over a shared one, against stand-in exchanges."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bus.errors import BusUnavailable, PartialResult, UnknownExchange, UnsupportedTimeframe
from bus.settings import Settings, child_environment
from candlebus import MultiExchangeManager
from candlebus.sandbox import Sandbox
from producers import fetch as fetching
from workers.supervisor import Supervisor

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """Stand-ins that this process and its children ask instead of the exchanges."""
    with Sandbox() as stand_ins:
        for venue, url in stand_ins.urls.items():
            monkeypatch.setenv(f"CANDLEBUS_URL_{venue.upper()}", url)
        monkeypatch.setenv("CANDLEBUS_HOME", str(tmp_path))
        yield stand_ins


def shortest_distance_ms(sandbox: Sandbox, venue: str) -> float:
    """Between a request that weighs as one for candles and the next one."""
    weight = {"bingx": 1, "kucoinfutures": 3}[venue]
    arrivals = pairwise(sandbox.stats(venue).arrivals)
    return min(later - earlier for (earlier, drawn), (later, _) in arrivals if drawn == weight)


@pytest.mark.slow
def test_in_local_mode_it_starts_what_it_needs_and_asks_at_the_conservative_pace(sandbox: Sandbox) -> None:
    wanted = {"bingx": [BTC, "NOPE/USDT:USDT"], "kucoinfutures": [BTC, ETH], "bitmex": [BTC]}
    with MultiExchangeManager() as manager:
        with pytest.warns(PartialResult) as said:
            data = manager.fetch_unified_data(wanted, "30m", 60)
        summary = manager.get_exchange_summary()["bingx"]
    assert set(manager.errors) == {"bingx:NOPE/USDT:USDT", f"bitmex:{BTC}"}
    assert len([one for one in said if one.category is PartialResult]) == 1
    assert list(data) == ["bingx", "kucoinfutures", "bitmex"]
    for venue, symbol in (("bingx", BTC), ("kucoinfutures", BTC), ("kucoinfutures", ETH)):
        rows = data[venue][symbol]
        assert rows == [list(c) for c in sandbox.truth(venue, symbol, "30m", int(rows[0][0]), int(rows[-1][0]) + 1)]
        assert shortest_distance_ms(sandbox, venue) > 600  # 700 when they leave; the way takes now more, now less
    assert (summary["status"], summary["pace"], summary["page_rows"]) == ("ok", "conservative", 500)
    assert (summary["contracts"], summary["contracts_source"]) == (len(sandbox.symbols("bingx")), "cache")


@pytest.mark.slow
def test_before_any_fetch_it_has_workers_look_at_contracts_and_clock(sandbox: Sandbox) -> None:
    sandbox.plan("bingx", clock_skew_ms=600_000)
    with MultiExchangeManager(pace="full") as manager:
        report = manager.validate_vst_contract()
        summary = manager.get_exchange_summary()
        with pytest.raises(UnknownExchange, match="bitmex"):
            manager.validate_vst_contract("bitmex")
        with pytest.raises(UnsupportedTimeframe, match="7m"):
            manager.fetch_unified_data({"bingx": [BTC]}, "7m", 10)
    assert (report["available"], report["source"]) == (False, "exchange")
    told = summary["bingx"]["server_time"]
    assert (told["source"], told["low_ms"] <= 600_000 <= told["high_ms"]) == ("ok", True)
    assert summary["kucoinfutures"]["contracts_source"] == "exchange"


@pytest.fixture
def bingx_worker(server: str, redis: object, sandbox: Sandbox, tmp_path: Path) -> Iterator[None]:
    """A shared bus that serves BingX alone."""
    env = child_environment(Settings(redis_url=server, pace="full", urls=sandbox.urls, home=tmp_path))
    with (tmp_path / "worker.log").open("wb") as log:
        workers = Supervisor(env, output=log, grace_s=5)
        workers.add("worker", "bingx")
        yield
        workers.stop()


def test_over_a_shared_bus_a_venue_without_workers_does_not_lose_the_other(
    server: str, bingx_worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "NO_WORKER_S", 2.0)
    with MultiExchangeManager(redis_url=server) as manager:
        with pytest.warns(PartialResult, match="candlebus worker kucoinfutures"):
            data = manager.fetch_unified_data({"bingx": [BTC], "kucoinfutures": [BTC]}, "1h", 10)
        summary = manager.get_exchange_summary()
    assert (len(data["bingx"][BTC]), data["kucoinfutures"]) == (10, {})
    assert isinstance(manager.errors[f"kucoinfutures:{BTC}"], BusUnavailable)
    assert (summary["bingx"]["status"], summary["bingx"]["pace"]) == ("ok", None)  # the workers' own
    assert summary["kucoinfutures"]["status"] == "error"
    assert "candlebus worker kucoinfutures" in summary["kucoinfutures"]["error"]

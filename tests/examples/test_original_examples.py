"""The original integration's usage examples, run as a user runs them, against stand-ins."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.settings import Settings, child_environment
from candlebus import align_timestamps
from candlebus.sandbox import Sandbox
from tests.original import BTC, ETH, NOW_MS, VST_LISTING

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HALF_HOUR_MS = 1_800_000
LAST_MS = NOW_MS - NOW_MS % HALF_HOUR_MS  # first instant that has not closed
SOL = "SOL/USDT:USDT"

pytestmark = pytest.mark.slow


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Stand-ins whose clocks stand still, ten months behind ours."""
    with Sandbox(clock=lambda: NOW_MS, extra=[VST_LISTING]) as stand_ins:
        yield stand_ins


def run(example: str, sandbox: Sandbox, home: Path, *, pace: str | None = None) -> "subprocess.CompletedProcess[str]":
    """The example as a user starts it, who sets the addresses of the stand-ins and perhaps a pace."""
    env = child_environment(Settings(urls=sandbox.urls, home=home))
    env = {name: value for name, value in env.items() if name != "CANDLEBUS_PACE"}
    env |= {"CANDLEBUS_PACE": pace} if pace else {}
    command = [sys.executable, "-W", "default", str(EXAMPLES / example)]
    return subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def closes(sandbox: Sandbox, venue: str, symbol: str, slots: int) -> list[list[float]]:
    found = sandbox.truth(venue, symbol, "30m", LAST_MS - slots * HALF_HOUR_MS, LAST_MS)
    return [list(candle) for candle in found]


def test_simple_bulk_fetch_tells_what_it_got_of_two_thousand_candles(sandbox: Sandbox, tmp_path: Path) -> None:
    done = run("simple_bulk_fetch.py", sandbox, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for venue, line in zip(("bingx", "kucoinfutures"), lines, strict=True):
        candles = closes(sandbox, venue, BTC, 2000)
        assert line.startswith(f"{venue}: {len(candles)} closed candles, 2025-12-06 20:")
        assert line.endswith(f"to 2026-01-17 12:00 UTC, last close {candles[-1][4]}")


def test_portfolio_is_worth_the_same_points_in_time_on_both_exchanges(sandbox: Sandbox, tmp_path: Path) -> None:
    done = run("portfolio.py", sandbox, tmp_path, pace="full")
    assert (done.returncode, done.stderr) == (0, "")
    amounts = {BTC: 0.5, ETH: 8.0, SOL: 100.0}
    venues = ("kucoinfutures", "bingx")
    data = {venue: {symbol: closes(sandbox, venue, symbol, 200) for symbol in amounts} for venue in venues}
    aligned = align_timestamps(data)
    expected = []
    for venue in venues:
        rows = aligned[venue]
        first, last = (sum(amounts[s] * rows[s][k][4] for s in amounts) for k in (0, -1))
        count, change = len(rows[BTC]), 100 * (last / first - 1)
        expected.append(f"{venue}: {count} points in time, worth {last:.2f} USDT, {change:+.2f} %")
    assert done.stdout.splitlines() == expected


def test_portfolio_names_what_it_lacks_and_fails(tmp_path: Path) -> None:
    with Sandbox(clock=lambda: NOW_MS, faults={"bingx": "candles#1-99=http_500"}) as sandbox:
        done = run("portfolio.py", sandbox, tmp_path, pace="full")
    assert done.returncode == 1
    assert f"missing bingx:{SOL}: " in done.stderr
    assert "missing kucoinfutures" not in done.stderr


def test_vst_setup_says_what_is_available_and_where_to_go(sandbox: Sandbox, tmp_path: Path) -> None:
    done = run("vst_setup.py", sandbox, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "VST/USDT:USDT on bingx: available",
        "looked at: 14 contracts, source exchange",
        "native symbol: VST-USDT",
    ]
    with Sandbox(clock=lambda: NOW_MS) as live:
        done = run("vst_setup.py", live, tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "VST/USDT:USDT on bingx: not available"
    assert done.stdout.splitlines()[2].startswith("reason: bingx lists no VST-USDT")
    assert "export CANDLEBUS_URL_BINGX=https://open-api-vst.bingx.com" in done.stdout


def test_status_monitoring_tells_of_both_and_exits_with_1_when_one_is_down(sandbox: Sandbox, tmp_path: Path) -> None:
    done = run("status_monitoring.py", sandbox, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    kucoin, bingx = done.stdout.splitlines()
    assert kucoin.startswith(f"kucoinfutures: ok, {len(sandbox.symbols('kucoinfutures')) - 2} contracts (exchange), ")
    assert bingx.startswith(f"bingx: ok, {len(sandbox.symbols('bingx'))} contracts (exchange), ")
    assert kucoin.endswith("pace conservative, 10 timeframes, VST no")
    assert bingx.endswith("pace conservative, 12 timeframes, VST yes")

    sandbox.plan("bingx", faults="any#1-99=http_503")
    done = run("status_monitoring.py", sandbox, tmp_path, pace="full")
    assert done.returncode == 1
    kucoin, bingx = done.stdout.splitlines()
    assert kucoin.startswith("kucoinfutures: ok, ")
    assert bingx.startswith("bingx: error: ")

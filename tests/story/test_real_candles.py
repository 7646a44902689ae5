"""Real candles, recorded from two venues, through the whole bus and out of the command line, unchanged."""

import json
import statistics
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bus.settings import Settings, child_environment
from candlebus.sandbox import Sandbox

KUCOIN_LOT = {"XBTUSDTM": (0.001, 3), "BNBUSDTM": (0.01, 2)}


def closed_candles(file: Path, step_ms: int) -> list[list[float]]:
    """The recorded candles that were closed when the file was fetched; volumes as recorded."""
    content = json.loads(file.read_text())
    fetched_ms = datetime.fromisoformat(content["fetchedAt"]).timestamp() * 1000
    fields = ("ts", "open", "high", "low", "close", "volume")
    return [[row[name] for name in fields] for row in content["candles"] if row["ts"] + step_ms <= fetched_ms]


def in_base_coins(rows: list[list[float]], native_id: str) -> list[list[float]]:
    multiplier, decimals = KUCOIN_LOT[native_id]
    return [[*row[:5], round(row[5] * multiplier, decimals)] for row in rows]


@pytest.fixture
def fetch(tmp_path: Path) -> Any:
    """Runs ``candlebus fetch`` in local mode against a replay of files; the lines that it prints."""

    def run(files: list[Path], *arguments: str) -> list[dict[str, Any]]:
        with Sandbox(replay=files) as sandbox:
            env = child_environment(Settings(pace="full", urls=sandbox.urls, home=tmp_path))
            command = [sys.executable, "-P", "-m", "candlebus", "fetch", *arguments, "--format", "jsonl"]
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stderr
            assert [sandbox.stats(venue).refusals for venue in sandbox.urls] == [0, 0]
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def as_rows(lines: list[dict[str, Any]], exchange: str) -> list[list[float]]:
    fields = ("open_time", "open", "high", "low", "close", "volume")
    return [[line[name] for name in fields] for line in lines if line["exchange"] == exchange]


@pytest.mark.slow
def test_every_recorded_closed_candle_arrives_once_and_unchanged_and_aligns(recorded: Path, fetch: Any) -> None:
    kucoin = recorded / "kucoin_futures/XBTUSDTM_15min_30d.json"
    binance = recorded / "binance_futures/BTCUSDT_15m_30d.json"
    pair = ["bingx:BTC/USDT:USDT", "kucoinfutures:BTC/USDT:USDT", "-t", "15m", "-n", "2879"]

    lines = fetch([kucoin, binance], *pair)
    assert as_rows(lines, "bingx") == closed_candles(binance, 900_000)
    assert as_rows(lines, "kucoinfutures") == in_base_coins(closed_candles(kucoin, 900_000), "XBTUSDTM")

    rows = fetch([kucoin, binance], *pair, "--align")
    assert len(rows) == 2_864
    assert all(row["spread_ms"] == 0 for row in rows)
    ours = {candle[0]: candle for candle in closed_candles(binance, 900_000)}
    assert all(row["candles"]["bingx:BTC/USDT:USDT"] == ours[row["open_time"]] for row in rows)
    assert round(median_bp(rows), 1) == 3.6
    assert median_bp(rows, shift=1) > 2 * median_bp(rows)  # one candle off would not pass


def median_bp(rows: list[dict[str, Any]], shift: int = 0) -> float:
    """Median distance of the two closes of a row, in basis points of the second; one side shifted by rows."""
    closes = [[candle[4] for candle in row["candles"].values()] for row in rows]
    pairs = zip(closes[shift:], closes[: len(closes) - shift], strict=True)
    return statistics.median(abs(a[0] - b[1]) / b[1] * 10_000 for a, b in pairs)


@pytest.mark.slow
def test_no_trade_holes_come_out_as_named_gaps_and_none_is_invented(recorded: Path, fetch: Any, tmp_path: Path) -> None:
    file = recorded / "kucoin_futures/BNBUSDTM_5min_30d.json"
    report = tmp_path / "report.json"
    series = "kucoinfutures:BNB/USDT:USDT"
    lines = fetch([file], series, "-t", "5m", "-n", "8639", "--report", str(report))
    candles = closed_candles(file, 300_000)
    assert as_rows(lines, "kucoinfutures") == in_base_coins(candles, "BNBUSDTM")

    gaps = json.loads(report.read_text())["series"][series]["gaps"]
    times = {candle[0] for candle in candles}
    absent = [t for t in range(int(min(times)), int(max(times)), 300_000) if t not in times]
    assert {reason for _, _, reason in gaps} == {"no_trades"}
    assert [t for begin, end, _ in gaps for t in range(begin, end, 300_000)] == absent
    assert (len(gaps), len(absent)) == (57, 62)

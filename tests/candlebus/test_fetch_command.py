"""``candlebus fetch``: its forms, its files, its report and what its exit code says."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import polars
import pytest

from bus.messages import Candle
from candlebus.sandbox import Sandbox
from tests.candlebus.conftest import Run, RunningBus

BINGX, KUCOIN, NOBODY = "bingx:BTC/USDT:USDT", "kucoinfutures:BTC/USDT:USDT", "bingx:NOBODY/USDT:USDT"
SPAN = ("--since", "2025-06-01", "--until", "2025-06-02T02:00:00+02:00")
SINCE_MS, UNTIL_MS = 1_748_736_000_000, 1_748_822_400_000


def truth(sandbox: Sandbox, name: str) -> list[Candle]:
    exchange, _, symbol = name.partition(":")
    return sandbox.truth(exchange, symbol, "30m", SINCE_MS, UNTIL_MS)


def as_candle(row: dict[str, Any]) -> Candle:
    return Candle(int(row["open_time"]), *(float(row[name]) for name in Candle._fields[1:]))


def test_jsonl_holds_every_candle_unchanged(run: Run, on_bus: RunningBus) -> None:
    code, out, err = run("fetch", BINGX, KUCOIN, "-t", "30m", *SPAN)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0, err
    assert list(rows[0]) == ["exchange", "symbol", "timeframe", *Candle._fields]
    for name in (BINGX, KUCOIN):
        exchange, _, symbol = name.partition(":")
        assert [as_candle(row) for row in rows if row["exchange"] == exchange] == truth(on_bus.sandbox, name)
        assert {(row["symbol"], row["timeframe"]) for row in rows} == {(symbol, "30m")}


def test_csv_holds_every_candle_unchanged(run: Run, on_bus: RunningBus) -> None:
    code, out, err = run("fetch", BINGX, "-t", "30m", *SPAN, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0, err
    assert [as_candle(row) for row in rows] == truth(on_bus.sandbox, BINGX)


def test_aligned_rows_are_the_same_in_jsonl_and_csv(run: Run, on_bus: RunningBus) -> None:
    arguments = ("fetch", BINGX, KUCOIN, "-t", "30m", *SPAN, "--align")
    lines = [json.loads(line) for line in run(*arguments).out.splitlines()]
    table = list(csv.DictReader(io.StringIO(run(*arguments, "--format", "csv").out)))
    both = {candle.open_time for candle in truth(on_bus.sandbox, KUCOIN)}
    assert [line["open_time"] for line in lines] == sorted(both)
    assert list(lines[0]) == ["open_time", "spread_ms", "candles"]
    assert list(table[0])[:3] == ["open_time", "spread_ms", f"{BINGX}.open_time"]
    for line, row in zip(lines, table, strict=True):
        for name in (BINGX, KUCOIN):
            assert line["candles"][name] == [float(row[f"{name}.{field}"]) for field in Candle._fields]


def test_a_table_shows_both_ends(run: Run, on_bus: RunningBus) -> None:
    code, out, _ = run("fetch", BINGX, "-t", "30m", *SPAN, "--format", "table")
    assert code == 0
    assert f"{BINGX} 30m: 48 candles" in out
    assert sum("2025-06-01T" in line for line in out.splitlines()) == 10
    assert "…" in out


def test_an_aligned_table_shows_the_spread(run: Run, on_bus: RunningBus) -> None:
    out = run("fetch", BINGX, KUCOIN, "-t", "30m", *SPAN, "--align", "--format", "table").out
    assert "spread bp" in out
    assert "aligned 30m" in out


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_the_format_follows_the_suffix_of_the_file(run: Run, on_bus: RunningBus, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"candles.{suffix}"
    code, out, err = run("fetch", BINGX, "-t", "30m", *SPAN, "-o", str(file))
    assert (code, out) == (0, "")
    assert file.read_text() == run("fetch", BINGX, "-t", "30m", *SPAN, "--format", suffix).out
    assert "48 of bingx:BTC/USDT:USDT" in err
    assert list(tmp_path.iterdir()) == [file]


def test_parquet_holds_every_candle_unchanged_and_the_request(run: Run, on_bus: RunningBus, tmp_path: Path) -> None:
    file = tmp_path / "candles.parquet"
    code, out, err = run("fetch", BINGX, "-t", "30m", *SPAN, "-o", str(file))
    assert (code, out) == (0, ""), err
    frame = polars.read_parquet(file).with_columns(polars.col("open_time").cast(polars.Int64))
    assert [Candle(*row) for row in frame.select(Candle._fields).rows()] == truth(on_bus.sandbox, BINGX)
    said = json.loads(polars.read_parquet_metadata(file)["candlebus"])["series"][BINGX]
    assert (said["since"], said["until"], said["volume_unit"]) == (SINCE_MS, UNTIL_MS, "base")
    assert said["request"]["since"] == SINCE_MS
    assert said["request"]["request_id"]
    assert list(tmp_path.iterdir()) == [file]


def test_parquet_needs_a_file_and_polars(
    run: Run, on_bus: RunningBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run("fetch", BINGX, "-t", "30m", *SPAN, "--format", "parquet")
    assert (code, out) == (2, "")
    assert "--format parquet is for files; add -o FILE" in err
    monkeypatch.setitem(sys.modules, "polars", None)
    code, out, err = run("fetch", BINGX, "-t", "30m", *SPAN, "-o", str(tmp_path / "candles.parquet"))
    assert (code, out) == (2, "")
    assert "polars is not installed; try: pip install 'candlebus[polars]'" in err
    assert list(tmp_path.iterdir()) == []


def test_a_failed_fetch_leaves_the_file_that_was_there(run: Run, on_bus: RunningBus, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("precious")
    assert run("fetch", NOBODY, "-t", "30m", "-o", str(file)).code == 2
    assert run("fetch", BINGX, NOBODY, "-t", "30m", "--align", "-o", str(file)).code == 1
    assert file.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [file]


def test_a_partial_result_is_written_and_said_and_has_a_code_of_its_own(run: Run, on_bus: RunningBus) -> None:
    code, out, err = run("fetch", BINGX, NOBODY, "-t", "30m", *SPAN)
    assert code == 3
    assert len(out.splitlines()) == 48
    assert "partial: bingx:NOBODY/USDT:USDT: bingx lists no NOBODY/USDT:USDT" in err
    assert "48 of bingx:BTC/USDT:USDT, 0 of bingx:NOBODY/USDT:USDT" in err


def test_that_the_tolerance_is_clamped_is_said_once(run: Run, on_bus: RunningBus) -> None:
    arguments = ("fetch", BINGX, KUCOIN, "-t", "30m", *SPAN, "--align")
    assert "clamped" not in run(*arguments).err
    said = run(*arguments, "--tolerance-ms", "900000").err
    assert said.count("tolerance of 900000 ms clamped to 899999 ms, below half of 30m") == 1


def test_an_empty_alignment_names_the_empty_series(run: Run, on_bus: RunningBus) -> None:
    code, out, err = run("fetch", BINGX, NOBODY, "-t", "30m", *SPAN, "--align")
    assert (code, out) == (1, "")
    assert "align: 0 rows, bingx:NOBODY/USDT:USDT is empty" in err


def test_the_report_counts_what_arrived(run: Run, on_bus: RunningBus, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    code = run("fetch", BINGX, KUCOIN, "-t", "30m", *SPAN, "--align", "--report", str(file)).code
    report = json.loads(file.read_text())
    served = truth(on_bus.sandbox, KUCOIN)
    missing = sum(to_ms - from_ms for from_ms, to_ms, _ in report["series"][KUCOIN]["gaps"]) // 1_800_000
    assert (code, report["complete"], report["exit_code"], report["aligned_rows"]) == (0, True, 0, len(served))
    assert report["series"][KUCOIN] | {"gaps": [], "requests": 0} == {
        "candles": len(served),
        "pages": 1,
        "requests": 0,
        "refusals": 0,
        "gaps": [],
        "errors": [],
        "since": SINCE_MS,
        "until": UNTIL_MS,
        "volume_unit": "base",
        "long_decimals": 0,
        "quarantined": 0,
    }
    assert len(served) + missing == 48


def test_the_report_of_a_failure_says_why(run: Run, on_bus: RunningBus, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    assert run("fetch", NOBODY, "-t", "30m", "--report", str(file)).code == 2
    report = json.loads(file.read_text())
    assert (report["complete"], report["exit_code"]) == (False, 2)
    assert "bingx lists no NOBODY/USDT:USDT" in report["series"][NOBODY]["errors"][0]


def test_a_dry_run_estimates_and_asks_nobody(run: Run, on_bus: RunningBus) -> None:
    before = [on_bus.sandbox.stats(venue).requests for venue in on_bus.sandbox.urls]
    code, out, err = run("fetch", BINGX, KUCOIN, "-t", "1m", "-n", "100000", "--dry-run")
    assert (code, err) == (0, "")
    assert "70" in out
    assert "200" in out
    assert "nothing was asked" in out
    assert before == [on_bus.sandbox.stats(venue).requests for venue in on_bus.sandbox.urls]

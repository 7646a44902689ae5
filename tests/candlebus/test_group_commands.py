"""``group``, ``status`` and ``watch --group``: what they say of a group that waits, goes on, is corrected or late."""

import io
import json
import os
import pty
import subprocess
import sys
import time

import pytest
from redis import Redis
from rich.console import Console

from bus import keys
from bus.cache import Cache
from bus.clock import RedisClock
from bus.groups import GroupBook
from bus.messages import Contract, ContractMap, Group
from bus.settings import Settings, child_environment
from candlebus.commands.live import group_table
from tests.candlebus.conftest import Run
from tests.helpers import MINUTE_MS
from tests.workers.aligner_helpers import SERIES, Owner, candle, publish

BINGX, KUCOIN = SERIES


@pytest.fixture
def here(server: str, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """The commands of this test look at an empty server."""
    monkeypatch.setenv("CANDLEBUS_REDIS_URL", server)
    return redis


def aligned(redis: Redis, **options: int) -> Group:
    """A group with five rows, one correction, one late candle and an hour of one series that the other lacks."""
    group = GroupBook(redis).add("g", SERIES, "1m", start_ms=0, **options)  # type: ignore[arg-type]
    for exchange in ("bingx", "kucoinfutures"):
        publish(redis, exchange, range(5), 0, 5, version=5 * MINUTE_MS, price_of=1)
    owner = Owner(redis, group)
    owner.align()
    publish(redis, "bingx", [2], 2, 3, version=6 * MINUTE_MS)
    publish(redis, "bingx", [5], 5, 6, version=6 * MINUTE_MS, price_of=1)
    publish(redis, "bingx", [5], 5, 6, version=7 * MINUTE_MS)
    publish(redis, "bingx", range(6, 65), 6, 65, version=65 * MINUTE_MS)
    owner.align()
    return group


def test_group_show_tells_watermark_lag_pending_late_corrections_and_who_is_waited_for(run: Run, here: Redis) -> None:
    aligned(here)
    shown = run("group", "show", "g").out
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip().startswith(("bing", "kuc"))}
    assert lines[BINGX][1:] == ["1970-01-01T01:05:00Z", "-", "60", "0", "0", "1", "1"]
    assert lines[KUCOIN][1:] == ["1970-01-01T00:05:00Z", "1", "h", "00", "min", "0", "0", "0", "0", "0"]
    assert "5 rows, final before" in shown
    held = f"g waits for {KUCOIN}, which is settled until 1970-01-01T00:05:00Z, 1 h 00 min behind the furthest"
    assert f"{held} and has not moved for 59 min 00 s" in shown


def test_group_show_tells_who_made_the_rows_from_when_on(run: Run, here: Redis) -> None:
    aligned(here, detach_after_s=300)
    shown = run("group", "show", "g").out
    assert "a silent series is left out after 300 s" in shown
    assert f"  from 1970-01-01T00:05:00Z: {BINGX}\n" in shown
    assert "left out" in next(line for line in shown.splitlines() if line.strip().startswith("kucoin"))
    assert "65 rows" in shown


def test_status_names_the_series_that_holds_a_group(run: Run, here: Redis) -> None:
    aligned(here)
    assert f"candlebus: group g waits for {KUCOIN}, which is settled until" in run("status").err
    told = json.loads(run("status", "--json").out)["groups"]["g"]
    assert (told["held_by"], told["held_ms"], told["lags_ms"][KUCOIN]) == (KUCOIN, 59 * MINUTE_MS, 60 * MINUTE_MS)
    assert told["members"] == [[0, SERIES]]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--stall", "detach"], "--stall 'detach' is neither hold nor detach:SECONDS, such as detach:300"),
        (["--stall", "detach:0"], "a stall is detached after 1 to"),
        (["--min-sources", "3"], "a row of 2 series has 1 to 2 candles, not 3"),
    ],
)
def test_a_policy_that_is_none_is_refused(run: Run, here: Redis, arguments: list[str], complaint: str) -> None:
    ended = run("group", "add", "g", *SERIES, "-t", "1m", *arguments)
    assert (ended.code, complaint in ended.err) == (2, True)


def test_a_group_keeps_its_policy(run: Run, here: Redis) -> None:
    assert run("group", "add", "g", *SERIES, "-t", "1m", "--stall", "detach:90", "--min-sources", "1").code == 0
    group = GroupBook(here).get("g")
    assert (group.detach_after_s, group.min_sources) == (90, 1)


def test_a_series_that_its_exchange_does_not_list_is_said_and_one_of_no_map_is_not(run: Run, here: Redis) -> None:
    listed = Contract(symbol="BTC/USDT:USDT", native_id="BTC-USDT")
    known = ContractMap(exchange="bingx", fetched_ms=1, contracts={listed.symbol: listed})
    Cache(here, RedisClock(here)).put(keys.contracts("bingx"), known, 60_000)
    said = run("group", "add", "g", BINGX, "bingx:BTCC/USDT:USDT", "kucoinfutures:BTCC/USDT:USDT", "-t", "30m").err
    warned = "candlebus: group g: bingx lists no BTCC/USDT:USDT; did you mean bingx:BTC/USDT:USDT?"
    assert [line for line in said.splitlines() if "lists no" in line] == [warned]


@pytest.mark.parametrize(("timeframe", "effective_ms", "is_said"), [("1m", 29_999, True), ("30m", 60_000, False)])
def test_that_the_tolerance_is_clamped_is_said_once_and_the_clamped_one_is_shown(
    run: Run, here: Redis, timeframe: str, effective_ms: int, is_said: bool
) -> None:
    said = run("group", "add", "g", *SERIES, "-t", timeframe).err
    assert ("tolerance of 60000 ms clamped to 29999 ms, below half of 1m" in said) == is_said
    assert f"tolerance {effective_ms} ms;" in run("group", "show", "g").out


def test_the_live_table_shows_the_spread_in_basis_points_and_the_lag_of_each_series(here: Redis) -> None:
    from bus.alignment import AlignedRow

    aligned(here)
    row = AlignedRow.of({BINGX: candle("bingx", 4), KUCOIN: candle("kucoinfutures", 4)})
    out = io.StringIO()
    Console(file=out, width=150).print(group_table(GroupBook(here).status("g"), row))
    shown = out.getvalue()
    assert "g 1m: row 1970-01-01T00:04:00Z, spread 2000.00 bp" in shown
    assert [word for word in ("2000.00 bp", "0.00 bp", "1 h 00 min") if word not in shown] == []
    assert f"g waits for {KUCOIN}" in shown


def test_watch_on_a_terminal_is_a_table_that_follows_the_rows(here: Redis, server: str) -> None:
    aligned(here)
    mine, terminal = pty.openpty()
    env = child_environment(Settings(redis_url=server)) | {"COLUMNS": "150", "TERM": "xterm"}
    command = [sys.executable, "-P", "-m", "candlebus", "watch", "aligned:g", "--from", "start"]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=env) as process:
        os.close(terminal)
        seen, deadline = b"", time.monotonic() + 20
        while b"00:04:00Z" not in seen and time.monotonic() < deadline:
            seen += os.read(mine, 4096)
        process.terminate()
    os.close(mine)
    assert b"spread 2000.00 bp" in seen
    assert b"1 h 00 min" in seen


def test_a_removed_group_takes_its_late_candles_and_its_log_with_it(run: Run, here: Redis) -> None:
    aligned(here, detach_after_s=300)
    assert here.exists(keys.late("g"), keys.group_members("g")) == 2
    assert run("group", "remove", "g").code == 0
    assert here.exists(keys.late("g"), keys.group_members("g"), keys.group_lease("g")) == 0

"""Bad input gets one line that says what was wrong and what to do, and the right exit code."""

import socket
from pathlib import Path

import pytest

from tests.candlebus.conftest import Run, RunningBus

BTC = "bingx:BTC/USDT:USDT"
FETCH = ("fetch", BTC, "-t", "30m")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fetch", "kucoin:BTC/USDT:USDT", "-t", "30m"), "unknown exchange 'kucoin': did you mean kucoinfutures?"),
        (("fetch", "okex:BTC/USDT:USDT", "-t", "30m"), "unknown exchange 'okex': did you mean okx?"),
        (("fetch", "nowhere:BTC/USDT:USDT", "-t", "30m"), "known: bingx kucoinfutures, and ccxt's ids such as okx"),
        (("fetch", "kraken:BTC/USD:USD", "-t", "30m"), "kraken offers no candles of perpetual swaps"),
        (("fetch", "okx:BTC/USDT:USDT", "-t", "8h"), "okx has no 8h candles; it has: 1m 3m"),
        (("fetch", "bingx:BTC/USDT", "-t", "30m"), "bingx:BTC/USDT is spot; the perpetual is bingx:BTC/USDT:USDT"),
        (("fetch", "BTC", "-t", "30m"), "'BTC' is not a series; write EXCHANGE:BASE/QUOTE:SETTLE"),
        (("fetch", "kucoinfutures:BTC/USDT:USDT", "-t", "3m"), "kucoinfutures has no 3m candles; it has: 1m 5m"),
        (("fetch", "kucoinfutures:BTC/USDT:USDT", "-t", "6h"), "kucoinfutures has no 6h candles"),
        (("fetch", BTC, "-t", "7m"), "unknown timeframe '7m'"),
        (("fetch", BTC, "-t", "1w"), "opens on different days on different venues"),
        (("fetch", BTC), "Missing option '-t' / '--timeframe'; see: candlebus fetch --help"),
        ((*FETCH, "-n", "0"), "limit 0 is not between 1 and"),
        ((*FETCH, "-n", "-5"), "limit -5 is not between 1 and"),
        ((*FETCH, "-n", "many"), "'many'; see: candlebus fetch --help"),
        ((*FETCH, "--since", "2025-02-01", "--until", "2025-01-01"), "is not before until"),
        ((*FETCH, "-n", "5", "--since", "2025-02-01"), "limit and since exclude each other"),
        ((*FETCH, "--since", "yesterday"), "since 'yesterday' is no time; write ISO 8601"),
        ((*FETCH, "--since", "1735689600"), "since 1735689600 would be 1970-01-21T02:08:09.600Z in ms"),
        ((*FETCH, "-o", "candles.xlsx"), "no format for 'candles.xlsx'; end its name in one of: .jsonl .csv .parquet"),
        ((*FETCH, "-o", "/nowhere/candles.csv"), "cannot write /nowhere/candles.csv: No such file or directory"),
        ((*FETCH, "--format", "xml"), "--format 'xml' is none of: table jsonl csv"),
        ((*FETCH, "--pace", "fast"), "--pace 'fast' is none of: conservative half full"),
        ((*FETCH, "--tolerance-ms", "5"), "add --align"),
        ((*FETCH, "--align", "--tolerance-ms", "-5"), "--tolerance-ms -5 is negative"),
        ((*FETCH, "--align", "--bogus"), "No such option: --bogus; see: candlebus fetch --help"),
        (("fetches",), "No such command 'fetches'"),
        (("worker", "kucoin"), "did you mean kucoinfutures?"),
        (("alive", "cook"), "none of: worker aligner schedule"),
        (("alive", "worker"), "name the exchanges of the workers"),
        (("alive", "aligner", "bingx"), "name the exchanges of the workers, and of nothing else"),
        (("worker", "bingx"), "a worker needs a server: set CANDLEBUS_REDIS_URL"),
        (("worker", "bingx", "--processes", "0"), "see: candlebus worker --help"),
        (("aligner",), "an aligner needs a server"),
        (("up", "nowhere"), "unknown exchange 'nowhere'"),
        (("group", "list"), "there is no bus: set CANDLEBUS_REDIS_URL, or start one with 'candlebus up EXCHANGE…'"),
        (("status",), "there is no bus"),
        (("watch", BTC), "there is no bus to watch"),
        (("watch", BTC, "--group", "pair"), "either a series, aligned:NAME or --group NAME"),
        (("watch", "aligned:pair", "--group", "pair"), "either a series, aligned:NAME or --group NAME"),
        (("watch", BTC, "--from", "then"), "--from 'then' is neither start, now nor an entry id"),
        (("contracts", "bing"), "did you mean bingx?"),
        (("contracts", "bingx", "BTC/USDT"), "bingx:BTC/USDT is spot"),
        (("sandbox", "--port", "8101"), "is not EXCHANGE=PORT"),
        (("sandbox", "--port", "binance=8101"), "there is no stand-in for 'binance'"),
        (("sandbox", "--limit", "many"), "is neither N/S"),
        (("sandbox", "--replay", "/nowhere"), "/nowhere: no such file or folder"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run(*arguments)
    assert words in err
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("candlebus: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fetch", "bingx:BTCC/USDT:USDT", "-t", "30m"), "did you mean bingx:BTC/USDT:USDT?"),
        ((*FETCH, "--since", "2999-01-01"), "has closed on bingx"),
        ((*FETCH, "--pace", "full"), "pace belongs to the workers there"),
        (("contracts", "bingx", "BTCC/USDT:USDT"), "did you mean bingx:BTC/USDT:USDT?"),
        (("group", "show", "nobody"), "no group 'nobody'"),
        (("group", "remove", "nobody"), "no group 'nobody'"),
        (("group", "add", "a:b", BTC, "kucoinfutures:BTC/USDT:USDT", "-t", "30m"), "group name 'a:b' is not of"),
        (("group", "add", "alone", BTC, "-t", "30m"), "a group needs 2 to 64 different series, not 1"),
        (("watch", "--group", "nobody"), "no group 'nobody'"),
        (("watch", "aligned:nobody"), "no group 'nobody'"),
        (("aligner", "--groups", "nobody"), "no group 'nobody'"),
    ],
)
def test_what_only_the_bus_knows_is_one_line_and_exit_code_2(
    run: Run, on_bus: RunningBus, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = run(*arguments)
    assert words in err
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("command", [FETCH, ("status",), ("alive", "aligner"), ("watch", BTC)])
def test_an_unreachable_server_is_one_line_and_exit_code_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setenv("CANDLEBUS_REDIS_URL", f"redis://:secret@127.0.0.1:{port}/0")
        code, out, err = run(*command)
    assert "no server answers at redis://…@127.0.0.1" in err
    assert "start one with 'candlebus up EXCHANGE…'" in err
    assert "secret" not in err
    assert (code, out, err.count("\n")) == (1, "", 1)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("CANDLEBUS_REDIS_URL", "http://127.0.0.1:6379", "write redis://HOST:PORT/0"),
        ("CANDLEBUS_REDIS_URL", "redis://127.0.0.1:port/0", "no Redis address"),
        ("CANDLEBUS_PACE", "fast", "CANDLEBUS_PACE='fast' is none of: conservative half full"),
        ("CANDLEBUS_URL_BINGX", "somewhere", "CANDLEBUS_URL_BINGX='somewhere' is no base URL"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    code, out, err = run(*FETCH)
    assert words in err
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("command", [FETCH, ("up", "bingx")])
def test_a_home_that_cannot_be_written_is_one_line_and_exit_code_2(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    file = tmp_path / "file"
    file.touch()
    for home in ("/proc/nope", str(file)):
        monkeypatch.setenv("CANDLEBUS_HOME", home)
        code, out, err = run(*command)
        assert f"cannot write {home}/" in err
        assert err.endswith("; set CANDLEBUS_HOME to another folder\n")
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_home_that_cannot_be_read_is_one_line_and_exit_code_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDLEBUS_HOME", "/" + "too long" * 100)
    code, out, err = run("status")
    assert "File name too long; set CANDLEBUS_HOME to another folder" in err
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_no_arguments_show_the_help(run: Run) -> None:
    code, out, err = run()
    assert code == 2
    assert "fetch" in out
    assert err == ""

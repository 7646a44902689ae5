"""The client without a bus when clocks are off, the network is gone, or the exchange refuses or answers nonsense."""

import logging
import threading

import pytest

from bus.errors import (
    ExchangeError,
    ExchangeUnavailable,
    MalformedPage,
    Paused,
    RateLimited,
)
from bus.timeframes import SETTLE_MS, TIMEFRAMES
from candlebus import CcxtClient
from candlebus.sandbox import Sandbox
from tests.workers.stage import BTC, EXCHANGES, MINUTE_MS, Opened, Stage

# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("off_ms", [-600_000, 600_000])
def test_a_clock_ten_minutes_off_still_gives_the_closed_candles_and_only_those(
    stage: Stage, client: Opened, name: str, off_ms: int
) -> None:
    own = client(name, off_ms=off_ms)
    rows = own.ohlcv(BTC, "1m", 30)
    end_ms = TIMEFRAMES["1m"].floor(stage.sandbox.now_ms(name) - SETTLE_MS)
    assert rows == stage.truth(name, "1m", end_ms - 30 * MINUTE_MS, end_ms)
    status = own.time_status()
    assert status.source == "ok"
    assert status.low_ms <= -off_ms <= status.high_ms


@pytest.mark.parametrize("off_ms", [-600_000, 0, 600_000, 7_200_000])
def test_where_the_exchange_does_not_tell_its_time_no_open_candle_is_given(
    stage: Stage, client: Opened, caplog: pytest.LogCaptureFixture, off_ms: int
) -> None:
    stage.plan(faults="time#1-999=http_503")
    own = client(off_ms=off_ms)
    for _ in range(3):
        rows = own.ohlcv(BTC, "1m", 30)
        assert own.time_status().source == "local"
        assert rows == stage.truth("bingx", "1m", rows[0][0] if rows else 0, rows[-1][0] + 1 if rows else 0)  # type: ignore[arg-type]
        assert all(row[0] + MINUTE_MS <= stage.sandbox.now_ms("bingx") for row in rows)
    assert len(rows) == 30 or off_ms > 900_000
    assert [r.message for r in caplog.records] == ["exchange time is not available"]


def test_server_time_falls_back_to_the_cached_offset_and_says_so(stage: Stage, client: Opened) -> None:
    own = client(off_ms=600_000)
    assert abs(own.server_time() - stage.sandbox.now_ms("bingx")) <= 2
    stage.plan(faults="time#1-999=http_503")
    stage.time.sleep(1_800)
    assert abs(own.server_time() - stage.sandbox.now_ms("bingx")) <= own.time_status().bound_ms
    assert own.time_status().source == "cached"


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_without_a_network_each_call_says_so_or_gives_the_documented_fallback(
    client: Opened, caplog: pytest.LogCaptureFixture, stage: Stage
) -> None:
    own = client(url="http://127.0.0.1:1")
    for call in (lambda: own.ohlcv(BTC), lambda: own.ticker(BTC), own.markets, lambda: own.fetch_native(BTC, "1h")):
        with pytest.raises(ExchangeUnavailable, match=r"does not answer at http://127.0.0.1:1 \(connection refused\)"):
            call()
    assert own.contracts() == {BTC: "BTC-USDT", "ETH/USDT:USDT": "ETH-USDT", "VST/USDT:USDT": "VST-USDT"}
    assert own._get_bingx_contracts() == own.contracts()
    assert own.contract_map().source == "fallback"
    assert abs(own.server_time() - stage.time.now_ms()) <= 1
    assert own.time_status().source == "local"
    with pytest.raises(ExchangeUnavailable, match="contract list of bingx is not available"):
        own.ohlcv("SOL/USDT:USDT")
    assert sorted(r.message for r in caplog.records) == [
        "contract list is not available",
        "exchange time is not available",
    ]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("html", MalformedPage),
        ("empty_body", MalformedPage),
        ("busy", ExchangeUnavailable),
        ("http_500", ExchangeUnavailable),
    ],
)
def test_an_exchange_that_answers_nonsense_gives_a_clear_error_and_no_candles(
    stage: Stage, client: Opened, fault: str, kind: type[ExchangeError]
) -> None:
    stage.plan(faults=f"candles#1-99={fault}")
    with pytest.raises(kind, match=r"^bingx .* after 3 tries$"):
        client().fetch_ohlcv_bulk(BTC)


def test_a_batch_that_fails_loses_no_candle_in_silence(stage: Stage, client: Opened) -> None:
    stage.plan(faults="candles#3-99=http_500")
    with pytest.raises(ExchangeUnavailable):
        client().fetch_ohlcv_bulk(BTC, "1m")


def test_after_a_refusal_the_exchange_is_left_alone_for_as_long_as_it_asked(stage: Stage, client: Opened) -> None:
    stage.plan(faults="candles#1=code_1015")
    own = client()
    with pytest.raises(RateLimited, match="wants 30 s of silence"):
        own.ohlcv(BTC)
    before = stage.sandbox.stats("bingx").requests
    for _ in range(3):
        with pytest.raises(Paused, match="bingx is left alone for another"):
            own.ticker(BTC)
    assert stage.sandbox.stats("bingx").requests == before
    stage.time.sleep(31)
    assert own.ticker(BTC)["last"] > 0


# --- many clients ----------------------------------------------------------------------------------------------------


def test_clients_of_one_process_share_their_pace_and_threads_share_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(venues=["bingx"], limit="off") as sandbox:
        monkeypatch.setenv("CANDLEBUS_URL_BINGX", sandbox.url("bingx"))
        monkeypatch.setenv("CANDLEBUS_PACE", "half")
        with CcxtClient("bingx") as one, CcxtClient("bingx") as other:
            threads = [threading.Thread(target=own.ticker, args=(BTC,)) for own in (one, one, other, other)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        stats = sandbox.stats("bingx")
    assert stats.by_path["/openApi/swap/v2/quote/ticker"] == 4
    assert stats.by_path["/openApi/swap/v2/quote/contracts"] == 2
    assert stats.max_in_window(100) == 1


def test_the_pace_is_conservative_unless_the_environment_says_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def interval_s(name: str) -> float:
        with CcxtClient(name) as own:
            return own._http._interval_s

    assert interval_s("bingx") == pytest.approx(0.7)
    assert interval_s("kucoinfutures") == pytest.approx(0.7 / 3, abs=1e-5)
    monkeypatch.setenv("CANDLEBUS_PACE_BINGX", "full")
    assert interval_s("bingx") == pytest.approx(0.06 / 0.98, abs=1e-5)
    assert interval_s("kucoinfutures") == pytest.approx(0.7 / 3, abs=1e-5)
    monkeypatch.setenv("CANDLEBUS_PACE", "half")
    assert interval_s("kucoinfutures") == pytest.approx(0.03, abs=1e-5)


def test_where_all_is_well_nothing_is_said(caplog: pytest.LogCaptureFixture, client: Opened) -> None:
    caplog.set_level(logging.WARNING)
    client().fetch_ohlcv_bulk(BTC, "30m")
    assert caplog.records == []

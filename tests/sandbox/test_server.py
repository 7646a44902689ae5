"""The stand-ins as one object: they start, serve many clients, and leave nothing behind."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from bus.errors import SettingsError, UnsupportedTimeframe
from candlebus.sandbox import Listing, Sandbox
from candlebus.sandbox.listings import bingx_listings
from tests.sandbox.clients import BTC, bingx_candles, get, kucoin_candles
from tests.sandbox.conftest import NOW_MS


def test_each_venue_serves_on_a_loopback_port_of_its_own() -> None:
    with Sandbox() as sandbox:
        assert set(sandbox.urls) == {"bingx", "kucoinfutures"}
        assert len(set(sandbox.urls.values())) == 2
        assert all(url.startswith("http://127.0.0.1:") for url in sandbox.urls.values())


def test_a_port_can_be_chosen_and_a_taken_one_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match="cannot serve"), Sandbox(ports={"kucoinfutures": port}):
            pass
    with pytest.raises(SettingsError, match="cannot serve"), Sandbox(ports={"bingx": 70_000}):
        pass
    with Sandbox(venues=("bingx",), ports={"bingx": port}) as sandbox:
        assert sandbox.url("bingx") == f"http://127.0.0.1:{port}"


def test_it_stops_within_a_second_with_requests_under_way_and_connections_open() -> None:
    threads = set(threading.enumerate())
    sandbox = Sandbox(venues=("bingx",), latency_ms=30_000)
    sandbox.start()
    with ThreadPoolExecutor(4) as clients:
        waiting = [clients.submit(get, sandbox, "bingx", "/openApi/swap/v2/server/time") for _ in range(4)]
        while sandbox.stats("bingx").requests < 4:
            time.sleep(0.01)
        before = time.monotonic()
        sandbox.stop()
        assert time.monotonic() - before < 1
        assert all(isinstance(each.exception(), requests.ConnectionError) for each in waiting)
    assert set(threading.enumerate()) <= threads


def test_it_can_be_started_again_and_stopping_twice_does_nothing() -> None:
    sandbox = Sandbox(venues=("bingx",))
    for _ in range(2):
        with sandbox:
            assert bingx_candles(sandbox, limit=1)
        sandbox.stop()
    assert sandbox.stats("bingx").requests == 2
    with pytest.raises(requests.ConnectionError):
        bingx_candles(sandbox, limit=1)


def test_many_clients_at_once_are_all_counted() -> None:
    with Sandbox(limit="off") as sandbox, ThreadPoolExecutor(16) as clients:
        pages = list(clients.map(lambda _: len(kucoin_candles(sandbox)), range(100)))
        stats = sandbox.stats("kucoinfutures")
    assert min(pages) > 450
    assert (stats.requests, stats.candle_requests, stats.max_in_window(60_000)) == (100, 100, 100)
    assert stats.max_weight_in_window(60_000) == 300


def test_truth_holds_closed_candles_only() -> None:
    with Sandbox(clock=lambda: NOW_MS) as sandbox:
        truth = sandbox.truth("bingx", BTC, "30m", NOW_MS - 7_200_000, NOW_MS + 7_200_000)
        assert [candle.open_time % 1_800_000 for candle in truth] == [0, 0, 0]
        assert truth[-1].open_time + 1_800_000 <= NOW_MS


def test_a_contract_can_be_added() -> None:
    play_money = Listing(
        venue="bingx", native_id="VST-USDT", symbol="VST/USDT:USDT", asset="VST", anchor=1.0, price_decimals=4, status=1
    )
    with Sandbox(extra=[play_money]) as sandbox:
        assert len(bingx_candles(sandbox, symbol="VST-USDT", limit=5)) == 5
        assert sandbox.symbols("bingx") == (*(each.symbol for each in bingx_listings()), "VST/USDT:USDT")


def test_limits_and_faults_can_differ_by_venue() -> None:
    with Sandbox(limit={"bingx": "1/60"}, faults={"kucoinfutures": "http_500=1"}) as sandbox:
        statuses = [get(sandbox, "bingx", "/openApi/swap/v2/server/time").status_code for _ in range(2)]
        assert statuses == [200, 429]
        assert get(sandbox, "kucoinfutures", "/api/v1/timestamp").status_code == 500


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="no stand-in for 'kucoin'; there are: bingx kucoinfutures"):
        Sandbox(venues=("kucoin",))
    with pytest.raises(SettingsError, match="no stand-in 'kucoinfutures' here; there are: bingx"):
        Sandbox(venues=("bingx",), ports={"kucoinfutures": 1})
    sandbox = Sandbox()
    with pytest.raises(SettingsError, match="lists no VST/USDT:USDT"):
        sandbox.truth("bingx", "VST/USDT:USDT", "1m", 0)
    with pytest.raises(UnsupportedTimeframe):
        sandbox.truth("bingx", BTC, "7m", 0)
    with pytest.raises(SettingsError, match="does not serve yet"):
        sandbox.url("bingx")


def test_a_method_that_does_not_exist_is_no_interface() -> None:
    with Sandbox(limit="off") as sandbox:
        answer = requests.post(sandbox.url("kucoinfutures") + "/api/v1/timestamp", timeout=5)
    assert answer.json()["code"] == "404000"

"""Which of ccxt's venues can be asked, and what is known of them before anything is asked."""

import subprocess
import sys

import pytest

from bus.errors import CandleBusError, UnknownExchange, UnsupportedTimeframe
from bus.series import Series
from bus.settings import Settings
from bus.timeframes import TIMEFRAMES
from tests.workers.exchange_fakes import BTC
from workers.exchanges import generic, registry
from workers.exchanges.base import Limit
from workers.exchanges.generic_facts import CHECKED, facts_of
from workers.limiter import budget

OFFERED = registry.names_through_ccxt()
#: ccxt states that they have candles of swaps; asked for some, it says that they have not, or for whom.
REFUSED = {"bigone", "modetrade", "woofipro"}


def test_the_venues_that_matter_are_offered_and_ours_stay_ours() -> None:
    assert {"binance", "binanceusdm", "bybit", "okx", "gate", "bitget", "mexc", "hyperliquid"} <= set(OFFERED)
    assert not {"bingx", "kucoinfutures", "kucoin"} & set(OFFERED)
    assert [type(registry.get(name)).__name__ for name in ("bingx", "kucoinfutures")] == ["BingX", "KucoinFutures"]


@pytest.mark.parametrize("name", sorted(set(OFFERED) - REFUSED))
def test_every_venue_has_facts(name: str) -> None:
    facts = registry.get(name).facts
    assert facts.name == name
    assert facts.base_url.startswith("https://")
    assert "{" not in facts.base_url
    assert facts.timeframes.keys() <= TIMEFRAMES.keys()
    assert 100 <= facts.page_rows <= 5_000
    for pace in ("conservative", "half", "full"):
        assert budget(facts, pace).interval_us > 0
        assert budget(facts, pace).late_us > 1_000


@pytest.mark.parametrize(
    ("name", "rows", "weight", "limit", "unit", "url"),
    [
        ("binanceusdm", 499, 200, Limit(2_000, 1_000), "base", "https://fapi.binance.com"),
        ("binance", 499, 200, Limit(2_000, 1_000), "base", "https://fapi.binance.com"),
        ("bybit", 1_000, 500, Limit(5_000, 1_000), "base", "https://api.bybit.com"),
        ("bybitid", 1_000, 500, Limit(5_000, 1_000), "base", "https://api.bybit.id"),
        ("okx", 300, 100, Limit(1_000, 1_100), "base", "https://www.okx.com"),
        ("gate", 1_999, 100, Limit(2_000, 1_000), "contracts", "https://api.gateio.ws"),
        ("hyperliquid", 5_000, 400, Limit(2_000, 1_000), "unknown", "https://api.hyperliquid.xyz"),
    ],
)
def test_facts_are_what_ccxt_states(name: str, rows: int, weight: int, limit: Limit, unit: str, url: str) -> None:
    facts, _ = facts_of(name)
    assert (facts.page_rows, facts.weights.candles, facts.volume_unit) == (rows, weight, unit)
    assert (facts.limits, facts.base_url, facts.hole_reason) == ((limit,), url, "unavailable")


def test_a_venue_that_tells_no_time_has_a_clock_of_seconds() -> None:
    assert [facts_of(name)[0].clock_step_ms for name in ("okx", "bybit", "binanceusdm", "bitfinex")] == [1, 1, 1, 1_000]


def test_the_end_of_the_span_is_sent_only_where_ccxt_translates_it() -> None:
    assert [facts_of(name)[1].sends_until for name in ("okx", "bybit", "binance", "whitebit")] == [True] * 3 + [False]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kraken", "kraken offers no candles of perpetual swaps"),
        ("upbit", "upbit offers no candles of perpetual swaps"),
        ("bigone", "bigone offers no candles of perpetual swaps"),
        ("woofipro", "woofipro shows candles only to holders of an API key"),
        ("okex", "unknown exchange 'okex': did you mean okx?"),
        ("Binance", "unknown exchange 'Binance': did you mean binance?"),
        ("base", "unknown exchange 'base'"),
        ("__init__", "unknown exchange '__init__'"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(name: str, words: str) -> None:
    with pytest.raises(UnknownExchange) as caught:
        registry.get(name)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_a_timeframe_that_the_venue_lacks_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(UnsupportedTimeframe, match="gate has no 3m candles; it has: 1m 5m"):
        registry.get("gate").candles(None, BTC, TIMEFRAMES["3m"], 0, 1)  # type: ignore[arg-type]


def test_opening_a_venue_changes_nothing_for_others_who_use_ccxt() -> None:
    generic.GenericExchange("binance")
    others = generic.ccxt.binance()
    assert "spot" in others.options["fetchMarkets"]["types"]
    assert others.has["fetchCurrencies"] is True
    assert others.options["defaultType"] == "spot"


def test_what_has_been_checked_is_of_venues_that_are_offered() -> None:
    assert CHECKED.keys() <= set(OFFERED)


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "币安人生/USDT:USDT", "$NAP/USDT:USDT", "1000PEPE/USDC:USDC",
                                    "XYZ-TSLA/USDC:USDC", "kPEPE/USDC:USDC", "H.O.P/USDT:USDT"])  # fmt: skip
def test_the_symbols_of_ccxt_are_symbols_of_ours(symbol: str) -> None:
    assert Series.parse(f"okx:{symbol}").symbol == symbol


@pytest.mark.parametrize("symbol", ["B TC/USDT:USDT", "BTC/USDT:USDT\n", "B*/USDT:USDT", "B:C/USDT:USDT", "/USDT:USDT"])
def test_what_would_be_two_words_or_a_pattern_is_no_symbol(symbol: str) -> None:
    with pytest.raises(CandleBusError):
        Series.parse(f"okx:{symbol}")


def test_ccxt_is_imported_only_where_one_of_its_venues_is_asked_for() -> None:
    code = """
import sys
from bus.errors import UnknownExchange
from workers.exchanges import registry
registry.get("bingx"), registry.get("kucoinfutures"), registry.names()
try: registry.get("kucoin")
except UnknownExchange as error: print(error)
print("ccxt" in sys.modules)
registry.get("okx")
print("ccxt" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["unknown exchange 'kucoin': did you mean kucoinfutures?", "False", "True"]


def test_a_stand_ins_address_is_read_for_any_venue() -> None:
    from bus.settings import load

    settings: Settings = load({"CANDLEBUS_URL_OKX": "http://127.0.0.1:1", "CANDLEBUS_PACE_OKX": "full"})
    assert (settings.urls, settings.pace_of("okx")) == ({"okx": "http://127.0.0.1:1"}, "full")

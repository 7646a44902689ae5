"""Generated candles: continuous, bounded, and the same everywhere."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.timeframes import TIMEFRAMES, Timeframe
from candlebus.sandbox import generated
from candlebus.sandbox.listings import Listing, bingx_listings, decimals_of, kucoin_listings
from candlebus.sandbox.sources import GeneratedSource

LISTINGS = (*bingx_listings(), *kucoin_listings())
BINGX_BTC = bingx_listings()[0]
KUCOIN_BTC = kucoin_listings()[0]
MINUTE = TIMEFRAMES["1m"]
START_MS = 1_760_000_040_000

listings = st.sampled_from(LISTINGS)
timeframes = st.sampled_from(list(TIMEFRAMES.values()))
instants = st.integers(min_value=1_500_000_000_000, max_value=2_000_000_000_000)


@given(listings, timeframes, instants)
def test_high_and_low_bound_open_and_close(listing: Listing, timeframe: Timeframe, instant_ms: int) -> None:
    candle = generated.candle(listing, timeframe, timeframe.floor(instant_ms))
    assert 0 < candle.low <= min(candle.open, candle.close)
    assert max(candle.open, candle.close) <= candle.high
    assert candle.volume > 0


@given(listings, timeframes, instants)
def test_a_candle_opens_where_the_one_before_it_closed(listing: Listing, timeframe: Timeframe, instant_ms: int) -> None:
    opens = timeframe.floor(instant_ms)
    before = generated.candle(listing, timeframe, opens - timeframe.duration_ms)
    assert generated.candle(listing, timeframe, opens).open == before.close


@given(listings, instants)
def test_timeframes_agree_on_opens_and_closes(listing: Listing, instant_ms: int) -> None:
    hour = TIMEFRAMES["1h"]
    whole = generated.candle(listing, hour, hour.floor(instant_ms))
    last = whole.open_time + hour.duration_ms - MINUTE.duration_ms
    assert whole.open == generated.candle(listing, MINUTE, whole.open_time).open
    assert whole.close == generated.candle(listing, MINUTE, last).close


@given(listings, timeframes, instants)
def test_the_forming_candle_never_leaves_what_it_becomes(
    listing: Listing, timeframe: Timeframe, instant_ms: int
) -> None:
    forming = generated.forming(listing, timeframe, instant_ms)
    final = generated.wire_candles(listing, timeframe, [forming.open_time])[0]
    assert forming.open == final.open
    assert final.low <= forming.low <= min(forming.open, forming.close)
    assert max(forming.open, forming.close) <= forming.high <= final.high
    assert 0 < forming.volume <= final.volume


@given(listings, timeframes, instants)
def test_prices_are_whole_ticks(listing: Listing, timeframe: Timeframe, instant_ms: int) -> None:
    candle = generated.candle(listing, timeframe, timeframe.floor(instant_ms))
    for value in candle[1:5]:
        assert value == round(value, listing.price_decimals)


@given(st.sampled_from(kucoin_listings()), timeframes, instants)
def test_kucoin_shows_whole_lots_and_truth_shows_coins(listing: Listing, timeframe: Timeframe, instant_ms: int) -> None:
    opens = timeframe.floor(instant_ms)
    lots = generated.lots(listing, timeframe, opens)
    assert isinstance(lots, int)
    coins = round(lots * abs(listing.multiplier), decimals_of(listing.multiplier))
    assert generated.candle(listing, timeframe, opens).volume == coins


def test_the_venues_lie_a_few_basis_points_apart() -> None:
    times = range(START_MS, START_MS + 1440 * 60_000, 60_000)
    pairs = [(generated.price(BINGX_BTC, t), generated.price(KUCOIN_BTC, t)) for t in times]
    assert all(0 < abs(a / b - 1) < 10e-4 for a, b in pairs)


@given(instants)
def test_bitcoin_stays_between_60_and_100_thousand(instant_ms: int) -> None:
    assert 60_000 < generated.price(BINGX_BTC, instant_ms) < 100_000


def test_kucoin_leaves_out_about_one_candle_in_five_hundred() -> None:
    omitted = [t for t in range(START_MS, START_MS + 50_000 * 60_000, 60_000) if _omitted(KUCOIN_BTC, t)]
    assert 60 < len(omitted) < 150


def test_bingx_leaves_out_none() -> None:
    assert not any(_omitted(BINGX_BTC, t, 1.0) for t in range(START_MS, START_MS + 1000 * 60_000, 60_000))


@pytest.mark.parametrize(("rate", "left"), [(0.0, 300), (1.0, 0)])
def test_the_rate_of_omissions_can_be_chosen(rate: float, left: int) -> None:
    end = START_MS + 299 * 60_000
    assert len(GeneratedSource(rate).candles(KUCOIN_BTC, MINUTE, START_MS, end, end + 120_000)) == left


def test_pages_that_meet_inside_a_chunk_make_one_series() -> None:
    source, now_ms = GeneratedSource(0.0), START_MS + 3000 * 60_000
    whole = source.candles(BINGX_BTC, MINUTE, START_MS, START_MS + 999 * 60_000, now_ms)
    parts = [
        source.candles(BINGX_BTC, MINUTE, START_MS + i * 60_000, START_MS + (i + 99) * 60_000, now_ms)
        for i in range(0, 1000, 100)
    ]
    assert whole == [candle for part in parts for candle in part]
    assert [candle.open_time for candle in whole] == list(range(START_MS, START_MS + 1000 * 60_000, 60_000))


def test_another_process_generates_the_same_candles() -> None:
    code = (
        "from candlebus.sandbox import generated as g; from candlebus.sandbox.listings import kucoin_listings as k;"
        "from bus.timeframes import TIMEFRAMES as t;"
        f"print(g.candle(k()[0], t['1m'], {START_MS}), [g.omitted(k()[1], t['5m'], i * 300_000) for i in range(2000)])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    omitted = [generated.omitted(kucoin_listings()[1], TIMEFRAMES["5m"], i * 300_000) for i in range(2000)]
    assert told.strip() == f"{generated.candle(KUCOIN_BTC, MINUTE, START_MS)} {omitted}"


def _omitted(listing: Listing, open_time: int, rate: float = generated.OMISSION_RATE) -> bool:
    return generated.omitted(listing, MINUTE, open_time, rate)

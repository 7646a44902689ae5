"""Candles as a pure function of contract, timeframe and open time.

The price is a function of the instant, so a candle opens where the one before it closed and timeframes agree on opens
and closes; highs, lows and volumes of different timeframes are independent of each other.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from bus.messages import Candle
from bus.timeframes import Timeframe
from candlebus.sandbox.chance import mix, seed_of, uniform
from candlebus.sandbox.listings import Listing

#: How often KuCoin leaves out a candle for want of trades.
OMISSION_RATE: Final = 1 / 500

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
# Amplitude of the logarithm of the price, and period; together they stay below 0.2.
_WAVES: Final = (
    (0.110, 941 * _HOUR_MS),
    (0.050, 173 * _HOUR_MS),
    (0.020, 29 * _HOUR_MS),
    (0.004, 5 * _HOUR_MS + 7 * _MINUTE_MS),
    (0.001, 41 * _MINUTE_MS),
)
_NOISE: Final = 0.0003
_WICK: Final = 0.0004
_MAX_WICK: Final = 0.01


def price(listing: Listing, instant_ms: int) -> float:
    """The price at an instant, in quote coins, not rounded to the tick."""
    return _curve(listing)(instant_ms)


def omitted(listing: Listing, timeframe: Timeframe, open_time: int, rate: float = OMISSION_RATE) -> bool:
    """Whether the venue leaves out the candle for want of trades; BingX never does."""
    if listing.venue == "bingx":
        return False
    seed = seed_of("omitted", listing.native_id, timeframe.name)
    return uniform(seed, open_time // timeframe.duration_ms) < rate


def wire_candles(listing: Listing, timeframe: Timeframe, open_times: Sequence[int]) -> list[Candle]:
    """Candles of consecutive open times, volumes as the venue shows them; omissions are not applied.

    Args:
        open_times: Ascending multiples of the timeframe's duration, without a hole.
    """
    if not open_times:
        return []
    at = _curve(listing)
    step_ms = timeframe.duration_ms
    ticks = [_ticks(listing, at(edge)) for edge in (*open_times, open_times[-1] + step_ms)]
    seed = seed_of(listing.venue, listing.native_id, timeframe.name)
    chances = [mix(seed, open_time) for open_time in open_times]
    return list(map(_maker(listing, timeframe), open_times, ticks, ticks[1:], chances))


def candle(listing: Listing, timeframe: Timeframe, open_time: int) -> Candle:
    """The candle in base-coin volume."""
    found = wire_candles(listing, timeframe, [open_time])[0]
    return found._replace(volume=listing.base_volume(found.volume))


def lots(listing: Listing, timeframe: Timeframe, open_time: int) -> float:
    """The volume of the candle as the venue shows it: whole lots on KuCoin, base coins on BingX."""
    return wire_candles(listing, timeframe, [open_time])[0].volume


def forming(listing: Listing, timeframe: Timeframe, now_ms: int) -> Candle:
    """The candle that is open at an instant, volume as the venue shows it; it never leaves what it will become."""
    whole = wire_candles(listing, timeframe, [timeframe.floor(now_ms)])[0]
    last = _value(listing, _ticks(listing, price(listing, now_ms)))
    close = min(max(last, whole.low), whole.high)
    elapsed = (now_ms - whole.open_time) / timeframe.duration_ms
    unit = 10**listing.volume_decimals
    volume = _plain(max(1, int(whole.volume * elapsed * unit)), listing.volume_decimals)
    return Candle(whole.open_time, whole.open, max(whole.open, close), min(whole.open, close), close, volume)


def _maker(listing: Listing, timeframe: Timeframe) -> Callable[[int, int, int, int], Candle]:
    """What makes a candle of its open time, its first and last price in ticks, and 64 bits of chance.

    Everything that a page has in common is worked out here, once.
    """
    minutes = timeframe.duration_ms / _MINUTE_MS
    reach = min(_WICK * math.sqrt(minutes), _MAX_WICK) / 0x10000
    unit, scale = listing.tick_units, 10.0**listing.price_decimals
    volume_scale, typical = 10**listing.volume_decimals, _typical_units(listing) * minutes
    # A turnover in quote coins is fewer coins the dearer they are; lots of an inverse contract are dollars.
    turnover = typical if listing.is_inverse else typical * scale / unit

    def make(open_time: int, first: int, last: int, chance: int) -> Candle:
        top, bottom = (first, last) if first > last else (last, first)
        high = top + int(top * reach * (chance & 0xFFFF))
        low = max(1, bottom - int(bottom * reach * (chance >> 16 & 0xFFFF)))
        busy = (chance >> 32 & 0xFFFF) / 0x10000
        units = int(turnover * (0.25 + 1.5 * busy * busy) / (1 if listing.is_inverse else first)) or 1
        volume = units / volume_scale if volume_scale > 1 else units
        return Candle(
            open_time, first * unit / scale, high * unit / scale, low * unit / scale, last * unit / scale, volume
        )

    return make


def _typical_units(listing: Listing) -> float:
    """Typical volume of a minute at a price of one quote coin, in the smallest unit of the wire."""
    return float(listing.turnover / abs(listing.multiplier) * 10.0**listing.volume_decimals)


def _plain(units: int, decimals: int) -> float:
    # Division of integers gives the float nearest to the decimal; whole volumes stay integers, as on the wire.
    return float(units / 10.0**decimals) if decimals else units


def _ticks(listing: Listing, value: float) -> int:
    return max(1, int(value * 10**listing.price_decimals / listing.tick_units + 0.5))


def _value(listing: Listing, ticks: int) -> float:
    return float(ticks * listing.tick_units / 10.0**listing.price_decimals)


@lru_cache(maxsize=256)
def _curve(listing: Listing) -> Callable[[int], float]:
    """The price as a function of the instant in ms; the heart of every page, hence one expression."""
    (a1, w1, p1), (a2, w2, p2), (a3, w3, p3), (a4, w4, p4), (a5, w5, p5) = _waves(listing.asset)
    seed, anchor, sin, exp = seed_of("noise", listing.asset), listing.anchor, math.sin, math.exp
    level, sway, omega = _premium(listing)

    def at(t: int) -> float:
        waves = (
            a1 * sin(w1 * t + p1)
            + a2 * sin(w2 * t + p2)
            + a3 * sin(w3 * t + p3)
            + a4 * sin(w4 * t + p4)
            + a5 * sin(w5 * t + p5)
        )
        return anchor * exp(waves + _noise(seed, t)) * (level + sway * sin(omega * t))

    return at


def _premium(listing: Listing) -> tuple[float, float, float]:
    # Closes of KuCoin and of larger venues lie 3.6 bp apart in the median (recorded, December 2025).
    return (1.0, 0.0, 0.0) if listing.venue == "bingx" else (1.0003, 0.00015, 2 * math.pi / (7 * _HOUR_MS))


def _waves(asset: str) -> list[tuple[float, float, float]]:
    """Amplitude, angular speed per ms and phase of each wave."""
    seed = seed_of("waves", asset)
    return [
        (amplitude, 2 * math.pi / (period_ms * (0.9 + 0.2 * uniform(seed, i))), 2 * math.pi * uniform(seed, 100 + i))
        for i, (amplitude, period_ms) in enumerate(_WAVES)
    ]


def _noise(seed: int, instant_ms: int) -> float:
    minute, within_ms = divmod(instant_ms, _MINUTE_MS)
    here = uniform(seed, minute)
    if within_ms:
        share = within_ms / _MINUTE_MS
        here = here * (1 - share) + uniform(seed, minute + 1) * share
    return _NOISE * (2 * here - 1)

"""ccxt as a contender: ``with_ccxt.py MODE VENUE URL RATE_MS CANDLES SYMBOL…``; prints one line of JSON.

MODE ``sync`` and ``async`` call ``fetch_ohlcv`` with ccxt's own ``paginate``; ``loop`` pages by hand, as users write
it, from the last candle received. Every address of ccxt's is replaced by the stand-in's. RATE_MS is ccxt's distance
between requests: ``default`` for its own, 0 for none. What the exchange refuses is asked again after a second.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt
import ccxt.async_support

MINUTE_MS = 60_000
#: The most that each venue answers at once.
ROWS = {"bingx": 1440, "kucoinfutures": 500}
#: What ccxt calls the contracts, so that it loads no more than these.
CONTRACTS = {"bingx": "linear", "kucoinfutures": "contract"}
WAIT_S = 1.0


def opened(module: Any, venue: str, url: str, rate_ms: str) -> Any:
    exchange = getattr(module, venue)({"enableRateLimit": rate_ms != "0", "options": {"defaultType": "swap"}})
    if rate_ms not in ("default", "0"):
        exchange.rateLimit = float(rate_ms)
    exchange.options["fetchMarkets"] = {"types": [CONTRACTS[venue]]}
    exchange.has["fetchCurrencies"] = False  # asks the private side of the exchange
    exchange.urls["api"] = elsewhere(exchange.urls["api"], url)
    return exchange


def elsewhere(tree: Any, url: str) -> Any:
    """Every address with the stand-in's host instead of its own; paths stay."""
    if isinstance(tree, dict):
        return {name: elsewhere(branch, url) for name, branch in tree.items()}
    path = str(tree).partition("://")[2].partition("/")[2]
    return f"{url}/{path}" if path else url


def paged(candles: int, venue: str) -> dict[str, Any]:
    return {"paginate": True, "paginationCalls": -(-candles // ROWS[venue]) + 1}


def insisted(ask: Callable[[], Any]) -> Any:
    while True:
        try:
            return ask()
        except ccxt.OperationFailed:
            time.sleep(WAIT_S)


async def insisted_async(ask: Callable[[], Awaitable[Any]]) -> Any:
    while True:
        try:
            return await ask()
        except ccxt.OperationFailed:
            await asyncio.sleep(WAIT_S)


def loop(exchange: Any, symbol: str, since: int, until: int, rows: int) -> int:
    found, at = 0, since
    while at < until:
        page = insisted(lambda at=at: exchange.fetch_ohlcv(symbol, "1m", at, rows))
        if not page:
            break
        found, at = found + len(page), page[-1][0] + MINUTE_MS
    return found


def sync(exchange: Any, symbol: str, since: int, candles: int) -> int:
    params = paged(candles, exchange.id)
    return len(insisted(lambda: exchange.fetch_ohlcv(symbol, "1m", since, candles, params)))


async def asynchronous(exchange: Any, symbols: list[str], since: int, candles: int) -> int:
    async def one(symbol: str) -> int:
        params = paged(candles, exchange.id)
        return len(await insisted_async(lambda: exchange.fetch_ohlcv(symbol, "1m", since, candles, params)))

    return sum(await asyncio.gather(*map(one, symbols)))


async def measured_async(venue: str, url: str, rate_ms: str, candles: int, symbols: list[str]) -> tuple[int, float]:
    exchange = opened(ccxt.async_support, venue, url, rate_ms)
    try:
        await insisted_async(exchange.load_markets)
        since = begin(candles)
        used = time.process_time()
        return await asynchronous(exchange, symbols, since, candles), time.process_time() - used
    finally:
        await exchange.close()


def measured(mode: str, venue: str, url: str, rate_ms: str, candles: int, symbols: list[str]) -> tuple[int, float]:
    if mode == "async":
        return asyncio.run(measured_async(venue, url, rate_ms, candles, symbols))
    exchange = opened(ccxt, venue, url, rate_ms)
    insisted(exchange.load_markets)
    since, found, used = begin(candles), 0, time.process_time()
    for symbol in symbols:
        if mode == "loop":
            found += loop(exchange, symbol, since, since + candles * MINUTE_MS, ROWS[venue])
        else:
            found += sync(exchange, symbol, since, candles)
    return found, time.process_time() - used


def begin(candles: int) -> int:
    now_ms = time.time_ns() // 1_000_000
    return now_ms - now_ms % MINUTE_MS - (candles + 1) * MINUTE_MS


def main(mode: str, venue: str, url: str, rate_ms: str, candles: str, *symbols: str) -> None:
    found, used = measured(mode, venue, url, rate_ms, int(candles), list(symbols))
    print(json.dumps({"candles": found, "cpu_s": used}))


if __name__ == "__main__":
    main(*sys.argv[1:])

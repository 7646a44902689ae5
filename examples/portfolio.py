"""A portfolio on two exchanges at the same points in time, over the bus: python examples/portfolio.py"""

import sys

from candlebus import MultiExchangeManager

HALF_HOUR_MS = 1_800_000
COINS = {"BTC/USDT:USDT": 0.5, "ETH/USDT:USDT": 8.0, "SOL/USDT:USDT": 100.0}

with MultiExchangeManager() as manager:
    wanted = {exchange: list(COINS) for exchange in manager.exchanges}
    data = manager.fetch_unified_data(wanted, "30m", limit=200)
    aligned = manager.align_timestamps(data, tolerance_ms=60_000, timeframe_ms=HALF_HOUR_MS)

if manager.errors:
    sys.exit("\n".join(f"missing {series}: {error}" for series, error in manager.errors.items()))

for exchange, symbols in aligned.items():
    closes = zip(*([row[4] for row in symbols[coin]] for coin in COINS), strict=True)
    values = [sum(amount * price for amount, price in zip(COINS.values(), prices, strict=True)) for prices in closes]
    change = 100 * (values[-1] / values[0] - 1)
    print(f"{exchange}: {len(values)} points in time, worth {values[-1]:.2f} USDT, {change:+.2f} %")

"""Two thousand half-hour candles of Bitcoin from each exchange, without a bus: python examples/simple_bulk_fetch.py"""

from datetime import UTC, datetime

from candlebus import CcxtClient


def when(open_time: float) -> str:
    return datetime.fromtimestamp(open_time / 1000, UTC).strftime("%Y-%m-%d %H:%M")


for exchange in ("bingx", "kucoinfutures"):
    with CcxtClient(exchange) as client:
        candles = client.fetch_ohlcv_bulk("BTC/USDT:USDT", "30m", limit=2000)
    first, last = candles[0], candles[-1]
    print(f"{exchange}: {len(candles)} closed candles, {when(first[0])} to {when(last[0])} UTC, last close {last[4]}")

"""cryptofeed's ``CandlesStream`` as a contender: ``with_cryptofeed.py URL``; prints one line of JSON.

Run by an interpreter that has cryptofeed, which is none of candlebus's dependencies. Candles come a hundred at a time.
"""

import asyncio
import json
import sys
import time
from decimal import Decimal
from urllib.parse import urlsplit

from cryptofeed.backends.redis import CandlesStream
from cryptofeed.types import Candle

CANDLES = 50_000
AT_ONCE = 100
PRICES = [Decimal(text) for text in ("80061.1", "80065.4", "80081.4", "80056.8", "170.9518")]


def candle(number: int) -> Candle:
    start = 1_735_689_600 + number * 60
    return Candle("BINGX", "BTC-USDT-PERP", start, start + 59, "1m", 10, *PRICES, True, float(start + 60))


async def published(url: str) -> float:
    candles = list(map(candle, range(CANDLES)))
    stream = CandlesStream(port=urlsplit(url).port)  # its own way to a socket is broken
    used = time.process_time()
    stream.start(asyncio.get_running_loop())
    for first in range(0, CANDLES, AT_ONCE):
        for each in candles[first : first + AT_ONCE]:
            await stream(each, 0.0)
        await stream.queue.join()
    used = time.process_time() - used
    await stream.stop()
    await stream.worker
    return used


def main(url: str) -> None:
    print(json.dumps({"candles": CANDLES, "cpu_s": asyncio.run(published(url))}))


if __name__ == "__main__":
    main(*sys.argv[1:])

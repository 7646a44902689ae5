"""Publishing an entry a candle, as a contender: ``one_by_one.py URL``; prints one line of JSON.

One ``XADD`` a candle with its fields as text, a hundred to a pipeline.
"""

import json
import sys
import time

from redis import Redis

CANDLES = 50_000
PIPELINE = 100
FIELDS = (
    "exchange",
    "symbol",
    "start",
    "stop",
    "interval",
    "trades",
    "open",
    "close",
    "high",
    "low",
    "volume",
    "closed",
)


def entry(number: int) -> dict[str, str]:
    start = 1_735_689_600 + number * 60
    values = ("BINGX", "BTC-USDT-PERP", start, start + 59, "1m", 10, 80061.1, 80065.4, 80081.4, 80056.8, 170.9518, True)
    return dict(zip(FIELDS, map(str, values), strict=True))


def main(url: str) -> None:
    redis = Redis.from_url(url)
    redis.ping()
    used = time.process_time()
    for first in range(0, CANDLES, PIPELINE):
        with redis.pipeline(transaction=False) as pipeline:
            for number in range(first, first + PIPELINE):
                pipeline.xadd("candles-BINGX-BTC-USDT-PERP", entry(number))  # type: ignore[arg-type]
            pipeline.execute()
    print(json.dumps({"candles": CANDLES, "cpu_s": time.process_time() - used}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Follow candles from an app that has redis and msgspec, and nothing of candlebus; docs/wire.md is the contract.

    export CANDLEBUS_REDIS_URL=redis://localhost:6379/0
    python examples/subscribe_with_redis.py bingx:BTC/USDT:USDT 30m --start start

Prints ``open_time open high low close volume``, a line a candle, and ``gap from_ms to_ms reason``.
"""

import argparse
import contextlib
import os
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from redis import Redis

LOCAL = "redis://localhost:6379/0"


class CandleBatch(
    msgspec.Struct,
    # The tag is the layout's version: a batch of another one is an error here, never a guess.
    tag="candles.v1",
    tag_field="type",
    rename={"open_time": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"},
):
    """The fields that are used here; msgspec passes over the others."""

    version: int
    n: int
    open_time: bytes
    open: bytes
    high: bytes
    low: bytes
    close: bytes
    volume: bytes
    gaps: list[tuple[int, int, str]]

    def candles(self) -> Iterator[tuple[int, float, float, float, float, float]]:
        """Rows from columns; "<" is little-endian, whatever this machine is."""
        floats = (self.open, self.high, self.low, self.close, self.volume)
        columns = (struct.unpack(f"<{self.n}d", column) for column in floats)
        return zip(struct.unpack(f"<{self.n}q", self.open_time), *columns, strict=True)


def entries(redis: Redis, stream: str, start: str) -> Iterator[dict[bytes, bytes]]:
    """The entries of a stream as they come; ends the program when some were lost."""
    last_id = start
    if start == "start":
        last_id = "0-0"
    elif start == "now":
        # Not "$": asked again after a quiet wait, it would pass over what came in between.
        newest: Any = redis.xrevrange(stream, count=1)
        last_id = newest[0][0].decode() if newest else "0-0"
    expected = None
    while True:
        # Shorter than redis-py's socket timeout, so that a quiet market is no error.
        reply: Any = redis.xread({stream: last_id}, count=20, block=2_000)
        for entry_id, fields in reply[0][1] if reply else []:
            number = int(fields[b"s"])
            if expected is not None and number != expected:
                raise SystemExit(f"entry {expected} of {stream} is gone, the next one is {number}: ask for its span")
            last_id, expected = entry_id, number + 1
            yield fields


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the candles of one series as they are published.")
    parser.add_argument("series", help="EXCHANGE:SYMBOL, such as bingx:BTC/USDT:USDT")
    parser.add_argument("timeframe", help="such as 30m")
    parser.add_argument("--start", default="now", help="now, start or the entry id after which to begin")
    parser.add_argument("--batches", type=int, help="stop after so many")
    given = parser.parse_args()
    if ":" not in given.series:
        parser.error(f"{given.series} is no series; write EXCHANGE:SYMBOL")

    exchange, _, symbol = given.series.partition(":")
    stream = f"candlebus:candles:{exchange}:{given.timeframe}:{symbol}"
    url = os.environ.get("CANDLEBUS_REDIS_URL", LOCAL)  # noqa: TID251 - an app without our settings
    # RESP2 replies have one shape in every redis-py.
    redis = Redis.from_url(url, protocol=2)
    decoder = msgspec.msgpack.Decoder(CandleBatch)
    versions: dict[int, int] = {}
    for count, fields in enumerate(entries(redis, stream, given.start), start=1):
        batch = decoder.decode(fields[b"b"])
        for candle in batch.candles():
            # Two requests may cover one candle; of one open time the greatest version holds.
            if batch.version > versions.get(candle[0], -1):
                versions[candle[0]] = batch.version
                print(*candle)
        for gap in batch.gaps:
            print("gap", *gap)
        print(end="", flush=True)
        if count == given.batches:
            break
    redis.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

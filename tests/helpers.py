"""What several tests build: candles, batches, requests."""

from bus.codec import columns
from bus.fetch_request import FetchRequest
from bus.messages import Candle, CandleBatch, Gap

MINUTE_MS = 60_000


def candle(open_time: int, close: float = 1.0) -> Candle:
    """A candle of that open time, ms."""
    return Candle(open_time, close, close + 1, close - 0.5, close, 10.0)


def request(request_id: str = "r1", *, limit: int = 10, symbol: str = "BTC/USDT:USDT") -> FetchRequest:
    """A request for 1m candles of BingX."""
    return FetchRequest(request_id=request_id, exchange="bingx", symbol=symbol, timeframe="1m", limit=limit)


def batch(since: int, until: int, *, page: int = 0, missing: tuple[int, ...] = (), version: int = 1) -> CandleBatch:
    """Minutes ``[since, until)`` of BTC on BingX; minutes in ``missing`` are gaps."""
    minutes = [minute for minute in range(since, until) if minute not in missing]
    return CandleBatch(
        exchange="bingx",
        symbol="BTC/USDT:USDT",
        timeframe="1m",
        request_id="r1",
        page=page,
        version=version,
        since=since * MINUTE_MS,
        until=until * MINUTE_MS,
        volume_unit="base",
        n=len(minutes),
        gaps=tuple(Gap(m * MINUTE_MS, (m + 1) * MINUTE_MS, "unavailable") for m in missing if since <= m < until),
        **columns([candle(minute * MINUTE_MS, float(minute + 1)) for minute in minutes]),
    )

"""What tests of a worker's turns share."""

from collections.abc import Callable

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from bus.errors import CandleBusError
from producers.client import Pending

BTC = "BTC/USDT:USDT"
#: Runs the queue of an exchange, by default BingX's, until it is empty.
Work = Callable[..., None]


def error_of(pending: Pending) -> CandleBusError:
    error = pending.status().error
    assert error is not None
    return error


def ask_by_rq(redis: Redis, request_id: str, exchange: str = "bingx") -> None:
    """Put a request for a day of hours on BingX's queue, as an app does that imports nothing of ours."""
    queue = Queue("fetch.bingx", connection=redis, serializer=JSONSerializer)
    asked = {"request_id": request_id, "exchange": exchange, "symbol": BTC, "timeframe": "1h", "limit": 24}
    queue.enqueue("candlebus.fetch_candles", **asked)

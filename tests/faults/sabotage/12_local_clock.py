"""Whether a candle has closed is told by the worker's own clock."""

import time

from workers.desk import Desk

Desk.exchange_now_ms = lambda _: round(time.time() * 1000)  # type: ignore[method-assign]

"""What tests of a worker's turns share."""

from collections.abc import Callable

from bus.errors import CandleBusError
from producers.client import Pending

BTC = "BTC/USDT:USDT"
#: Runs the queue of an exchange, by default BingX's, until it is empty.
Work = Callable[..., None]


def error_of(pending: Pending) -> CandleBusError:
    error = pending.status().error
    assert error is not None
    return error

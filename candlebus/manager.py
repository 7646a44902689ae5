"""``MultiExchangeManager`` put together: over the bus by default, over clients where they are given."""

from collections.abc import Mapping

from bus.settings import Pace
from candlebus.bus_venues import BusVenues
from candlebus.client_venues import ClientVenues
from producers.manager import ExchangeManager
from workers.ccxt_client import CcxtClient

#: Those of the original integration.
EXCHANGES = ("kucoinfutures", "bingx")


class MultiExchangeManager(ExchangeManager):
    """KuCoin Futures and BingX as one, over the bus; or the exchanges of the clients that are given.

    Over a bus of its own it asks at the conservative pace unless told otherwise: a request each 0.7 s, 500 candles at
    once.
    """

    def __init__(
        self,
        clients: Mapping[str, CcxtClient] | None = None,
        *,
        redis_url: str | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Connect to the bus; one of its own starts when it is first needed.

        Args:
            clients: Exchange → ``CcxtClient``, to be asked without a bus; they are closed with the manager.
            redis_url: Server of a shared bus; by default from the environment, else local mode.
            pace: How much of the exchanges' limits to use, in local mode only: clients and a shared bus's workers have
                their own. By default as ``CANDLEBUS_PACE`` says, else conservative.

        Raises:
            SettingsError: The environment or the server is not fit for a bus.
            BusUnavailable: No server answers.
        """
        super().__init__(BusVenues(EXCHANGES, redis_url, pace) if clients is None else ClientVenues(clients))

"""The names of the original single-process integration, which its examples call, for the same functions."""

from abc import abstractmethod
from collections.abc import Callable
from typing import TypeVar

from bus.errors import RequestError

_T = TypeVar("_T")
_Row = list[int | float]


class OriginalNames:
    """Each name works on a client of its own exchange.

    Attributes:
        id: Name of the exchange.
    """

    id: str

    @abstractmethod
    def server_time(self) -> int:
        """The exchange's time, ms UTC."""

    @abstractmethod
    def contracts(self) -> dict[str, str]:
        """ccxt's symbol → the exchange's own name."""

    @abstractmethod
    def fetch_native(
        self,
        symbol: str,
        interval: str,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int | None = None,
    ) -> list[_Row]:
        """Candles of one request with the exchange's own parameters."""

    def _get_bingx_server_time(self) -> int:
        return self._on("bingx", self.server_time)

    def _get_bingx_contracts(self) -> dict[str, str]:
        return self._on("bingx", self.contracts)

    def _fetch_with_ultimate_bingx_format(
        self,
        symbol: str,
        interval: str,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int | None = None,
    ) -> list[_Row]:
        return self._on("bingx", lambda: self.fetch_native(symbol, interval, start_time, end_time, limit))

    def _get_kucoin_server_time(self) -> int:
        return self._on("kucoinfutures", self.server_time)

    def _get_kucoin_contracts(self) -> dict[str, str]:
        return self._on("kucoinfutures", self.contracts)

    def _fetch_with_ultimate_kucoin_format(
        self,
        symbol: str,
        interval: str,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int | None = None,
    ) -> list[_Row]:
        return self._on("kucoinfutures", lambda: self.fetch_native(symbol, interval, start_time, end_time, limit))

    def _on(self, exchange: str, call: Callable[[], _T]) -> _T:
        if self.id != exchange:
            raise RequestError(f"this client is of {self.id}; for that call use CcxtClient({exchange!r})")
        return call()

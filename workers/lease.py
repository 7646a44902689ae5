"""Holds a claim while its turn runs, however long the exchange takes to answer."""

import logging
import threading
from types import TracebackType
from typing import Final

from redis import RedisError

from bus.errors import Fenced
from bus.requests import LEASE_MS, Claim, RequestBook

_log = logging.getLogger(__name__)
_RENEW_EVERY_S: Final = LEASE_MS / 1000 / 4


class HeldLease:
    """Renews a claim from a thread of its own until the context ends.

    A process that is stopped or killed renews nothing, so its claim runs out and another worker goes on.
    """

    def __init__(self, book: RequestBook, claim: Claim) -> None:
        self._book = book
        self._claim = claim
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease {claim.request_id}", daemon=True)

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW_EVERY_S):
            try:
                self._book.renew(self._claim)
            except Fenced:
                return  # the turn learns it from its next publish
            except RedisError as error:
                _log.warning("lease not renewed", extra={"request_id": self._claim.request_id, "cause": str(error)})

    def __enter__(self) -> "HeldLease":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

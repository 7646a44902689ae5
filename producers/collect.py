"""Put the pages of a request together: its candles in order, its gaps merged, nothing missing between pages."""

from redis import Redis

from bus.codec import candles_of
from bus.errors import BusError
from bus.messages import Candle, CandleBatch, Gap
from bus.requests import RequestBook
from bus.streams import fetch_entries

_ENTRIES_A_READ = 64


class Collector:
    """The pages of one request as they arrive, read by the request's own list of entries."""

    def __init__(self, redis: Redis, request_id: str) -> None:
        self._redis = redis
        self._book = RequestBook(redis)
        self._request_id = request_id
        self.batches: list[CandleBatch] = []

    def advance(self) -> None:
        """Read the pages that have been published since the last call.

        Raises:
            EntriesLost: A page was trimmed before it was read.
            DecodeError: A page is not a batch of ours.
            BusError: Two pages do not join.
        """
        where = self._book.entries(self._request_id, len(self.batches))
        for start in range(0, len(where), _ENTRIES_A_READ):
            for batch in fetch_entries(self._redis, where[start : start + _ENTRIES_A_READ]):
                self._add(batch)

    def _add(self, batch: CandleBatch) -> None:
        if self.batches and batch.since != self.batches[-1].until:
            raise BusError(
                f"page {batch.page} of request {self._request_id} begins at {batch.since}, "
                f"but the page before it ends at {self.batches[-1].until}"
            )
        self.batches.append(batch)

    def candles(self) -> list[Candle]:
        """The candles that have arrived, oldest first."""
        return [candle for batch in self.batches for candle in candles_of(batch)]

    def gaps(self) -> list[Gap]:
        """The gaps that have been named, oldest first, neighbours of one reason merged."""
        return merged([gap for batch in self.batches for gap in batch.gaps])


def merged(gaps: list[Gap]) -> list[Gap]:
    """Gaps in order, those that touch and share a reason made one."""
    out: list[Gap] = []
    for gap in sorted(gaps):
        if out and out[-1].to_ms == gap.from_ms and out[-1].reason == gap.reason:
            out[-1] = Gap(out[-1].from_ms, gap.to_ms, gap.reason)
        else:
            out.append(gap)
    return out

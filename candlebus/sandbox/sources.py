"""Where a stand-in takes its candles from: made up as asked, or recorded."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from bus.messages import Candle
from bus.timeframes import TIMEFRAMES, Timeframe
from candlebus.sandbox import generated
from candlebus.sandbox.listings import Listing

DAY_MS: Final = 86_400_000
_CHUNK: Final = 256  # slots
_CHUNKS: Final = 256


class Source(Protocol):
    """The candles of one venue, volumes as the venue shows them."""

    def candles(self, listing: Listing, timeframe: Timeframe, first_ms: int, last_ms: int, now_ms: int) -> list[Candle]:
        """The candles that open in ``[first_ms, last_ms]`` and by ``now_ms``, oldest first; the last may be open."""
        ...

    def day(self, listing: Listing, now_ms: int) -> list[Candle]:
        """Candles of about the last 24 hours, oldest first, the open one included; empty where there are none."""
        ...


class GeneratedSource:
    """Candles made up as asked, and kept while they are in use.

    Args:
        omission_rate: Share of the slots that KuCoin leaves out for want of trades, in [0, 1].
    """

    def __init__(self, omission_rate: float = generated.OMISSION_RATE) -> None:
        self._rate = omission_rate
        self._chunks: OrderedDict[tuple[str, str, int], list[Candle]] = OrderedDict()

    def candles(self, listing: Listing, timeframe: Timeframe, first_ms: int, last_ms: int, now_ms: int) -> list[Candle]:
        step_ms = timeframe.duration_ms
        first = timeframe.ceil(max(first_ms, listing.listed_ms))
        closed = self._closed(
            listing, timeframe, first, min(timeframe.floor(last_ms), timeframe.floor(now_ms) - step_ms)
        )
        opens = timeframe.floor(now_ms)
        if first <= opens <= last_ms and not generated.omitted(listing, timeframe, opens, self._rate):
            closed.append(generated.forming(listing, timeframe, now_ms))
        return closed

    def day(self, listing: Listing, now_ms: int) -> list[Candle]:
        return self.candles(listing, TIMEFRAMES["1h"], now_ms - DAY_MS, now_ms, now_ms)

    def _closed(self, listing: Listing, timeframe: Timeframe, first: int, last: int) -> list[Candle]:
        span_ms = timeframe.duration_ms * _CHUNK
        found: list[Candle] = []
        for number in range(first // span_ms, last // span_ms + 1):
            chunk = self._chunk(listing, timeframe, number)
            whole = first <= number * span_ms and (number + 1) * span_ms <= last
            found += chunk if whole else [candle for candle in chunk if first <= candle.open_time <= last]
        return found

    def _chunk(self, listing: Listing, timeframe: Timeframe, number: int) -> list[Candle]:
        key = (listing.native_id, timeframe.name, number)
        chunk = self._chunks.get(key)
        if chunk is None:
            chunk = self._chunks[key] = self._generate(listing, timeframe, number)
            if len(self._chunks) > _CHUNKS:
                self._chunks.popitem(last=False)
        else:
            self._chunks.move_to_end(key)
        return chunk

    def _generate(self, listing: Listing, timeframe: Timeframe, number: int) -> list[Candle]:
        start = number * _CHUNK * timeframe.duration_ms
        open_times = range(start, start + _CHUNK * timeframe.duration_ms, timeframe.duration_ms)
        rows = generated.wire_candles(listing, timeframe, open_times)
        if listing.venue == "bingx":
            return rows
        return [row for row in rows if not generated.omitted(listing, timeframe, row.open_time, self._rate)]


class RecordedSource:
    """Candles that were recorded, served as they stand.

    Args:
        tracks: Native id and name of the timeframe → closed candles, oldest first.
    """

    def __init__(self, tracks: Mapping[tuple[str, str], Sequence[Candle]]) -> None:
        self._tracks = {key: list(track) for key, track in tracks.items()}
        self._open_times = {key: [row.open_time for row in track] for key, track in self._tracks.items()}

    def candles(self, listing: Listing, timeframe: Timeframe, first_ms: int, last_ms: int, now_ms: int) -> list[Candle]:
        key = (listing.native_id, timeframe.name)
        open_times = self._open_times.get(key, [])
        low = bisect_left(open_times, first_ms)
        high = bisect_right(open_times, min(last_ms, now_ms))
        return self._tracks[key][low:high] if low < high else []

    def day(self, listing: Listing, now_ms: int) -> list[Candle]:  # noqa: ARG002 - the recording has ended
        """The last recorded day, on the finest timeframe that was recorded."""
        for timeframe in TIMEFRAMES.values():
            track = self._tracks.get((listing.native_id, timeframe.name))
            if track:
                return [row for row in track if row.open_time > track[-1].open_time - DAY_MS]
        return []

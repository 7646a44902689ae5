"""Of the candles that several requests brought, each one once, and a later version only where it differs."""

import msgspec

from bus.codec import candles_of, columns
from bus.messages import Candle, CandleBatch


class Freshest:
    """What a subscriber has seen of one series; bounded, so of the latest open times only."""

    def __init__(self, remember: int = 20_000) -> None:
        """Remember about so many open times; an older candle that comes again counts as news."""
        self._remember = remember
        self._seen: dict[int, tuple[int, Candle]] = {}

    def news(self, batch: CandleBatch) -> CandleBatch | None:
        """The batch with only the candles that say something new; None where it held candles and none is new."""
        candles = candles_of(batch)
        new = [candle for candle in candles if self._is_news(batch.version, candle)]
        self._forget()
        if len(new) == len(candles):
            return batch
        return msgspec.structs.replace(batch, n=len(new), **columns(new)) if new else None

    def _is_news(self, version: int, candle: Candle) -> bool:
        known = self._seen.get(candle.open_time)
        if known is not None and (version, candle) <= known:
            return False
        self._seen[candle.open_time] = (version, candle)
        return known is None or known[1] != candle

    def _forget(self) -> None:
        if len(self._seen) > 2 * self._remember:
            latest = sorted(self._seen)[-self._remember :]
            self._seen = {open_time: self._seen[open_time] for open_time in latest}

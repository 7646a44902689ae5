"""The messages that cross the bus: frozen, versioned, in ms UTC and float64."""

from typing import Final, Literal, NamedTuple

import msgspec

from bus.series import Series

LateReason = Literal["changed", "added", "forgotten"]
VolumeUnit = Literal["base", "contracts", "unknown"]
RejectReason = Literal["time", "impossible", "contradiction"]
GapReason = Literal["no_trades", "before_listing", "beyond_history", "unavailable"]

#: Gaps that are no loss: nothing traded, or nothing was listed yet.
HARMLESS_GAPS: Final = frozenset({"no_trades", "before_listing"})

MAX_CANDLES_PER_BATCH: Final = 5_000


class Candle(NamedTuple):
    """One closed candle.

    Attributes:
        open_time: First instant of the candle, ms UTC; its identity within a series.
        volume: In the unit that the batch names, the base coin on native venues.
    """

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Gap(NamedTuple):
    """Open times in ``[from_ms, to_ms)`` for which the exchange served no candle, and why."""

    from_ms: int
    to_ms: int
    reason: GapReason


class Rejected(NamedTuple):
    """A row of an exchange's answer that cannot be true.

    Attributes:
        open_time: Its slot, ms; None where its time cannot be believed.
        reason: ``time``: no open time of the grid in ms. ``impossible``: numbers that no candle has. ``contradiction``:
            another row of the same answer tells something else of the slot.
        row: The row as JSON.
    """

    open_time: int | None
    reason: RejectReason
    row: str


class CandleBatch(msgspec.Struct, frozen=True, kw_only=True, tag="candles.v1", tag_field="type"):
    """One page of a request: consecutive closed candles of one series, in one stream entry.

    Attributes:
        page: Number of the page within its request, from 0.
        version: Exchange time of the fetch, ms; of two candles with one open time the greater version holds.
        since: First instant that this batch settles, ms, inclusive.
        until: First instant that it does not settle, ms, exclusive; never past the last closed candle.
        n: Number of candles; 0 where the span holds none.
        t: Open times, int64 little-endian ms, strictly rising.
        o, h, l, c, v: Columns of float64 little-endian.
        gaps: The open times of the span without a candle, with reasons.
    """

    exchange: str
    symbol: str
    timeframe: str
    request_id: str
    page: int
    version: int
    since: int
    until: int
    volume_unit: VolumeUnit
    n: int
    t: bytes
    o: bytes
    h: bytes
    l: bytes  # noqa: E741 - the wire name of the lows
    c: bytes
    v: bytes
    gaps: tuple[Gap, ...] = ()

    @property
    def series(self) -> Series:
        """The series whose candles these are."""
        return Series(self.exchange, self.symbol)


class AlignedSource(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of one source of an aligned batch; encoded as in :class:`CandleBatch`."""

    t: bytes
    o: bytes
    h: bytes
    l: bytes  # noqa: E741 - the wire name of the lows
    c: bytes
    v: bytes


class AlignedBatch(msgspec.Struct, frozen=True, kw_only=True, tag="aligned.v1", tag_field="type"):
    """Rows that share a point in time: one candle of every source, in one stream entry.

    Attributes:
        group: Name of the alignment group.
        sources: Series as ``EXCHANGE:SYMBOL`` → its columns, one value a row.
        n: Number of rows; at least 1.
        t: Earliest open time of each row, int64 little-endian ms, strictly rising.
        spread: Latest minus earliest open time of each row, int64 little-endian ms.
    """

    group: str
    timeframe: str
    sources: dict[str, AlignedSource]
    n: int
    t: bytes
    spread: bytes


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What an order on a contract must keep to; None where the exchange does not say.

    Attributes:
        amount_step: Smallest step of an amount: of lots where volumes come in lots, else of base coins.
        amount_min, amount_max: Of an amount, in the same unit.
        price_step: Smallest step of a price, in quote coins.
        cost_min: Least value of an order, in quote coins.
        maker, taker: Fee as a share of the value, such as 0.0002.
        leverage_max: Greatest leverage.
    """

    amount_step: float | None = None
    amount_min: float | None = None
    amount_max: float | None = None
    price_step: float | None = None
    cost_min: float | None = None
    maker: float | None = None
    taker: float | None = None
    leverage_max: float | None = None


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange's listing behind a symbol.

    Attributes:
        symbol: ccxt's unified symbol.
        native_id: The exchange's own name of it.
        multiplier: Base coins per lot, where volumes come in lots; 1 where they come in base coins.
        multiplier_decimals: Decimals to which a converted volume is rounded.
        listed_ms: Instant of listing, ms; None where the exchange does not say.
        is_open: Whether it can be traded now.
        terms: What orders must keep to; None where it was not read.
    """

    symbol: str
    native_id: str
    multiplier: float = 1.0
    multiplier_decimals: int = 0
    listed_ms: int | None = None
    is_open: bool = True
    terms: Terms | None = None


class ContractMap(msgspec.Struct, frozen=True, kw_only=True, tag="contracts.v1", tag_field="type"):
    """All perpetuals of an exchange by symbol.

    Attributes:
        fetched_ms: When the exchange served it, ms on the server's clock; 0 for the fallback.
        source: ``exchange`` or ``fallback``.
    """

    exchange: str
    fetched_ms: int
    contracts: dict[str, Contract]
    source: Literal["exchange", "fallback"] = "exchange"


class ClockOffset(msgspec.Struct, frozen=True, kw_only=True, tag="clock.v1", tag_field="type"):
    """Exchange time minus the server's time, as an interval that holds the truth unless that clock has stepped, ms.

    Attributes:
        measured_ms: As of when, ms on the server's clock; it grows wider by the drift from then on.
    """

    low_ms: int
    high_ms: int
    measured_ms: int


class Group(msgspec.Struct, frozen=True, kw_only=True, tag="group.v1", tag_field="type"):
    """An alignment group: which series make a row, from when on, how far apart.

    Attributes:
        start_ms: First open time that may stand in a row; rows begin once every source is settled from here.
        tolerance_ms: Greatest distance of the open times of one row, inclusive; clamped below half the timeframe.
        min_sources: Least number of candles that make a row; None for one of every series.
        detach_after_s: Rows go on without a series that others wait for so long; None to wait for ever.
    """

    name: str
    series: tuple[str, ...]
    timeframe: str
    start_ms: int
    tolerance_ms: int
    min_sources: int | None = None
    detach_after_s: int | None = None


class LateCandles(msgspec.Struct, frozen=True, kw_only=True, tag="late.v1", tag_field="type"):
    """Candles that came, or came changed, when the rows of their open times were final; they stand in no row.

    Attributes:
        group: Name of the alignment group.
        source: The series, as ``EXCHANGE:SYMBOL``.
        version: Exchange time of the fetch that brought them, ms.
        reason: ``changed``: another form of the candle was used. ``added``: there was none. ``forgotten``: it is newer
            than all that the aligner remembers so far back, be it different or not.
        n: Number of candles; at least 1.
        t: Open times, int64 little-endian ms.
        o, h, l, c, v: Columns of float64 little-endian.
    """

    group: str
    timeframe: str
    source: str
    version: int
    reason: LateReason
    n: int
    t: bytes
    o: bytes
    h: bytes
    l: bytes  # noqa: E741 - the wire name of the lows
    c: bytes
    v: bytes


class QuarantinedRows(msgspec.Struct, frozen=True, kw_only=True, tag="quarantine.v1", tag_field="type"):
    """Rows that came for a page and were kept out of it.

    Attributes:
        page: The page of the request; ``[since, until)`` is its span, ms.
        n: How many rows there were.
        rows: The first of them.
    """

    exchange: str
    symbol: str
    timeframe: str
    request_id: str
    page: int
    since: int
    until: int
    n: int
    rows: tuple[Rejected, ...]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, tag="dead.v1", tag_field="type"):
    """An entry set aside, unchanged, with the reason."""

    stream: str
    entry_id: str
    reason: str
    body: bytes

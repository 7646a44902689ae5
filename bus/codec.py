"""Messages to bytes and back; refuses what it does not know and what contradicts itself."""

import math
import operator
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from bus.errors import DecodeError, RequestError, UnknownVersion, UnsupportedTimeframe
from bus.messages import (
    MAX_CANDLES_PER_BATCH,
    AlignedBatch,
    Candle,
    CandleBatch,
    ClockOffset,
    ContractMap,
    DeadLetter,
    Group,
    LateCandles,
    QuarantinedRows,
)
from bus.series import NAME, Series
from bus.timeframes import timeframe

Message = CandleBatch | AlignedBatch | LateCandles | ContractMap | ClockOffset | Group | DeadLetter | QuarantinedRows
M = TypeVar("M", CandleBatch, AlignedBatch, LateCandles, ContractMap, ClockOffset, Group, DeadLetter, QuarantinedRows)

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
#: No float64 has more.
_MOST_DECIMALS = 400
_KINDS: tuple[type[Message], ...] = (
    CandleBatch,
    AlignedBatch,
    LateCandles,
    ContractMap,
    ClockOffset,
    Group,
    DeadLetter,
    QuarantinedRows,
)
_DECODERS: dict[type[Message], msgspec.msgpack.Decoder[Any]] = {kind: msgspec.msgpack.Decoder(kind) for kind in _KINDS}
_ENCODER = msgspec.msgpack.Encoder()


class _Tag(msgspec.Struct):
    type: str


_TAG_DECODER = msgspec.msgpack.Decoder(_Tag)


def encode(message: Message) -> bytes:
    """The message as one msgpack map, its layout and version under ``type``."""
    return _ENCODER.encode(message)


def decode(body: bytes, kind: type[M]) -> M:
    """The message of that kind in ``body``.

    Raises:
        UnknownVersion: It is of another layout; the text names both.
        DecodeError: It is no message of ours, damaged, or contradicts itself.
    """
    if len(body) > MAX_MESSAGE_BYTES:
        raise DecodeError(f"{len(body)} bytes are more than a message may have ({MAX_MESSAGE_BYTES})")
    try:
        message: M = _DECODERS[kind].decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _refusal(body, kind, error) from error
    if isinstance(message, CandleBatch):
        _check_candles(message)
    elif isinstance(message, AlignedBatch):
        _check_aligned(message)
    elif isinstance(message, LateCandles):
        _check_columns(message.n, [message.t], [message.o, message.h, message.l, message.c, message.v])
    elif isinstance(message, ContractMap):
        _check_contracts(message)
    elif isinstance(message, ClockOffset):
        _check_clock(message)
    elif isinstance(message, Group):
        _check_group(message)
    return message


def _refusal(body: bytes, kind: type[Message], error: Exception) -> DecodeError:
    expected = str(kind.__struct_config__.tag)
    try:
        found = _TAG_DECODER.decode(body).type
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return DecodeError(f"not a candlebus message ({error})")
    if found != expected:
        return UnknownVersion(f"layout {found[:64]!r} is unknown here, which reads {expected!r}; upgrade candlebus")
    return DecodeError(f"damaged {expected} message ({error})")


def column(kind: str, values: Sequence[Any]) -> bytes:
    """Values as a little-endian column: kind ``q`` for int64, ``d`` for float64."""
    return struct.pack(f"<{len(values)}{kind}", *values)


def numbers(kind: str, data: bytes) -> "array[Any]":
    """The values of a little-endian column."""
    values = array(kind)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def columns(candles: Sequence[Candle]) -> dict[str, bytes]:
    """The columns ``t o h l c v`` of the candles, as the wire wants them."""
    if not candles:
        return dict.fromkeys("tohlcv", b"")
    turned = zip(*candles, strict=True)
    return {name: column("q" if name == "t" else "d", values) for name, values in zip("tohlcv", turned, strict=True)}


def candles_of(batch: CandleBatch | LateCandles) -> list[Candle]:
    """The candles of a batch, oldest first."""
    values = [numbers("d", data) for data in (batch.o, batch.h, batch.l, batch.c, batch.v)]
    return list(map(Candle, numbers("q", batch.t), *values))


def rows_of(batch: AlignedBatch) -> list[dict[str, Candle]]:
    """The rows of an aligned batch: series → candle, earliest row first."""
    per_source = {
        name: map(Candle, numbers("q", s.t), *(numbers("d", data) for data in (s.o, s.h, s.l, s.c, s.v)))
        for name, s in batch.sources.items()
    }
    return [dict(zip(per_source, row, strict=True)) for row in zip(*per_source.values(), strict=True)]


def _check_columns(n: int, times: Sequence[bytes], floats: Sequence[bytes]) -> None:
    if any(len(data) != 8 * n for data in (*times, *floats)):
        raise DecodeError(f"columns do not hold {n} values each")
    if not all(math.isfinite(sum(numbers("d", data))) for data in floats):
        raise DecodeError("a column holds a number that is not finite")


def _check_rising(times: "array[Any]", what: str) -> None:
    if not all(map(operator.lt, times, times[1:])):
        raise DecodeError(f"{what} do not rise")


def _check_candles(batch: CandleBatch) -> None:
    try:
        step_ms = timeframe(batch.timeframe).duration_ms
    except UnsupportedTimeframe as error:
        raise DecodeError(str(error)) from error
    if not 0 <= batch.n <= MAX_CANDLES_PER_BATCH or batch.since > batch.until:
        raise DecodeError(f"{batch.n} candles in [{batch.since}, {batch.until})")
    _check_columns(batch.n, [batch.t], [batch.o, batch.h, batch.l, batch.c, batch.v])
    times = numbers("q", batch.t)
    _check_rising(times, "open times")
    if batch.n and not (batch.since <= times[0] and times[-1] < batch.until):
        raise DecodeError(f"open times {times[0]} to {times[-1]} leave [{batch.since}, {batch.until})")
    if any(t % step_ms for t in times):
        raise DecodeError(f"an open time is off the {batch.timeframe} grid")
    if any(not batch.since <= g.from_ms < g.to_ms <= batch.until for g in batch.gaps):
        raise DecodeError(f"a gap leaves [{batch.since}, {batch.until})")


def _check_aligned(batch: AlignedBatch) -> None:
    if batch.n < 1 or not batch.sources:
        raise DecodeError(f"{batch.n} rows of {len(batch.sources)} sources")
    _check_columns(batch.n, [batch.t, batch.spread], [])
    for source in batch.sources.values():
        _check_columns(batch.n, [source.t], [source.o, source.h, source.l, source.c, source.v])
    _check_rising(numbers("q", batch.t), "rows")


def _check_contracts(listed: ContractMap) -> None:
    for symbol, contract in listed.contracts.items():
        lot, decimals = contract.multiplier, contract.multiplier_decimals
        if contract.symbol != symbol or not 0 < lot < math.inf or not 0 <= decimals <= _MOST_DECIMALS:
            raise DecodeError(f"contract {symbol[:80]!r} is named {contract.symbol[:80]!r}, of {lot:g} to {decimals}")


def _check_clock(offset: ClockOffset) -> None:
    if offset.low_ms > offset.high_ms:
        raise DecodeError(f"an offset from {offset.low_ms} to {offset.high_ms} ms")


def _check_group(group: Group) -> None:
    try:
        for name in group.series:
            Series.parse(name)
        timeframe(group.timeframe)
    except RequestError as error:
        raise DecodeError(str(error)) from error
    series = group.series
    if not series or len(set(series)) < len(series) or not NAME.fullmatch(group.name):
        raise DecodeError(f"a group {group.name[:80]!r} of {len(series)} series, some of them twice")
    if (
        group.tolerance_ms < 0
        or not 0 <= group.start_ms < 2**53
        or not 1 <= (group.min_sources or 1) <= len(group.series)
    ):
        raise DecodeError(f"tolerance {group.tolerance_ms} ms, start {group.start_ms}, sources {group.min_sources}")

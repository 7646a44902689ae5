"""What holds of any bytes whatsoever; Hypothesis asks it in the tests, Atheris in ``make fuzz``."""

import math
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import msgspec

from bus import keys, settings
from bus.codec import Message, candles_of, decode, encode, rows_of
from bus.errors import CandleBusError, DecodeError
from bus.fetch_request import FetchRequest
from bus.messages import AlignedBatch, CandleBatch, ClockOffset, Contract, ContractMap, DeadLetter, Group, LateCandles
from bus.series import Series
from bus.timeframes import TIMEFRAMES
from tests.fuzz.bodies import body_of
from tests.helpers import batch
from workers.exchanges.allowance import allowance
from workers.exchanges.base import Exchange, Page
from workers.exchanges.bingx import BingX
from workers.exchanges.kucoinfutures import KucoinFutures
from workers.exchanges.pauses import LONGEST_PAUSE_MS, retry_after_ms
from workers.exchanges.rows import MAX_ROWS, MOST, is_plausible
from workers.exchanges.symbols import perpetual
from workers.http import Response

Property = Callable[[bytes], None]

_START: Final = 1_735_689_600_000
_FRAME: Final = TIMEFRAMES["1m"]
_BTC: Final = Contract(symbol="BTC/USDT:USDT", native_id="BTC-USDT")
_XBT: Final = Contract(symbol="BTC/USDT:USDT", native_id="XBTUSDTM", multiplier=0.001, multiplier_decimals=3)
_STATUSES: Final = (200, 200, 200, 200, 429, 403, 418, 503)
_LONGEST_COMPLAINT: Final = 4_000


def bingx(data: bytes) -> None:
    """An answer of BingX is what it should be, or one of our errors."""
    _answered(BingX(), _BTC, data)


def kucoinfutures(data: bytes) -> None:
    """An answer of KuCoin Futures is what it should be, or one of our errors."""
    _answered(KucoinFutures(), _XBT, data)


def codec(data: bytes) -> None:
    """Bytes are a message that is the same in bytes again, or a DecodeError."""
    for kind, body in _messages(data):
        try:
            message = decode(body, kind)
        except DecodeError as error:
            _check_complaint(error)
            continue
        written = encode(message)
        assert encode(decode(written, kind)) == written
        _check_message(message)


def retry_after(data: bytes) -> None:
    """A pause is of 1 ms to a day, or None; whatever a header says."""
    value, _, date = data.decode("latin-1").partition("\n")
    for first, second in ((value, date), (value, "Wed, 01 Jan 2025 00:00:00 GMT")):
        pause_ms = retry_after_ms(first, second)
        assert pause_ms is None or 1 <= pause_ms <= LONGEST_PAUSE_MS
    left = allowance({"left": value, "reset": date, "date": date}, ("left", "reset"))
    assert left is None or (left.remaining >= 0 and 0 <= left.reset_ms <= 60_000)


def symbols(data: bytes) -> None:
    """Names make no series, or one whose text and key say it again, and nobody else's key."""
    names = [*data.decode("utf-8", "surrogateescape").split("\n", 7), "", "", ""]
    made = perpetual("bingx", names[0], names[1], names[2], {})
    found = [Series("bingx", made)] if made else []
    for text in (*names, f"bingx:{names[0]}"):
        try:
            found.append(Series.parse(text))
        except CandleBusError as error:
            _check_complaint(error)
    for one in found:
        assert Series.parse(str(one)) == one
        assert keys.candles(one.exchange, "1m", one.symbol).split(":", 4)[2:] == [one.exchange, "1m", one.symbol]
    assert len({keys.candles(one.exchange, "1m", one.symbol) for one in found}) == len(set(found))


def fetch_request(data: bytes) -> None:
    """The arguments of a job are a request with keys of its own, or one of our errors."""
    try:
        asked = msgspec.convert(_arguments(data), FetchRequest)
    except msgspec.ValidationError:
        return  # the worker turns it into ours
    try:
        asked.check()
    except CandleBusError as error:
        _check_complaint(error)
        return
    assert keys.request(asked.request_id).split(":")[2:] == [asked.request_id]
    assert asked.timeframe in TIMEFRAMES
    assert Series.parse(str(asked.series)) == asked.series
    assert (asked.since is None) != (asked.limit is None)


def _arguments(data: bytes) -> Any:
    """Keyword arguments by their JSON, or a line each, the last ones numbers."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        lines = data.decode("utf-8", "surrogateescape").split("\n")
    found: dict[str, Any] = dict(zip(("request_id", "exchange", "symbol", "timeframe"), lines, strict=False))
    for name, text in zip(("since", "until", "limit"), lines[4:], strict=False):
        if text.removeprefix("-").isdecimal() and len(text) < 40:
            found[name] = int(text)
    return found


def environment(data: bytes) -> None:
    """Variables are settings, or an error that does not show a password."""
    names = ("REDIS_URL", "PACE", "EGRESS", "LOG", "URL_BINGX", "PACE_BINGX")
    values = data.decode("utf-8", "replace").replace("\x00", "").split("\n")
    given = {f"CANDLEBUS_{name}": value for name, value in zip(names, values, strict=False)}
    try:
        loaded = settings.load(given)
    except CandleBusError as error:
        _check_complaint(error)
        return
    assert loaded.pace in settings.PACES
    assert settings.load(settings.environment(loaded)) == loaded


PROPERTIES: Final[dict[str, Property]] = {
    one.__name__: one for one in (bingx, kucoinfutures, codec, retry_after, symbols, fetch_request, environment)
}


def _answered(exchange: Exchange, contract: Contract, data: bytes) -> None:
    choice, rest = (data[0], data[1:]) if data else (0, b"")
    headers = {"date": "Wed, 01 Jan 2025 00:00:00 GMT", "retry-after": rest[:8].decode("latin-1")}
    response = Response(_STATUSES[choice % len(_STATUSES)], headers, body_of(rest))
    http: Any = SimpleNamespace(get=lambda *_, **__: response)
    try:
        match choice // 8 % 8:
            case 0:
                assert is_plausible(exchange.server_time(http))
            case 1:
                _check_contracts(exchange.contracts(http))
            case 2:
                assert math.isfinite(exchange.ticker(http, contract).last)
            case _:
                _check_page(exchange.candles(http, contract, _FRAME, _START, _START + 600_000))
    except CandleBusError as error:
        _check_complaint(error)


def _check_page(page: Page) -> None:
    times = [candle.open_time for candle in page.candles]
    assert times == sorted(set(times))
    assert len(times) <= MAX_ROWS
    for open_time, open_, high, low, close, volume in page.candles:
        assert _START <= open_time < _START + 600_000
        assert open_time % _FRAME.duration_ms == 0
        assert 0 <= low <= min(open_, close) <= max(open_, close) <= high <= MOST
        assert 0 <= volume <= MOST


def _check_contracts(contracts: dict[str, Contract]) -> None:
    listed = ContractMap(exchange="bingx", fetched_ms=1, contracts=contracts)
    assert decode(encode(listed), ContractMap) == listed
    for symbol in contracts:
        assert Series.parse(f"bingx:{symbol}").symbol == symbol


def _check_complaint(error: CandleBusError) -> None:
    text = str(error)
    assert text
    assert "\n" not in text
    assert len(text) <= _LONGEST_COMPLAINT, len(text)


_COLUMNS: Final[dict[str, Any]] = {name: struct.pack("<d", 1.0) for name in "ohlcv"} | {"t": struct.pack("<q", 0)}
#: A real message of each kind, to be changed.
REAL: Final[tuple[Message, ...]] = (
    batch(0, 5, missing=(2,)),
    LateCandles(group="g", timeframe="1m", source="bingx:B/U:U", version=1, reason="added", n=1, **_COLUMNS),
    ContractMap(exchange="bingx", fetched_ms=1, contracts={_XBT.symbol: _XBT}),
    ClockOffset(low_ms=-1, high_ms=1, measured_ms=2),
    Group(name="g", series=("bingx:B/U:U", "okx:B/U:U"), timeframe="1m", start_ms=0, tolerance_ms=1),
    DeadLetter(stream="s", entry_id="1-1", reason="why", body=b"x"),
    msgspec.convert(
        {"type": "aligned.v1", "group": "g", "timeframe": "1m", "n": 1, "t": bytes(8), "spread": bytes(8)}
        | {"sources": {"bingx:B/U:U": _COLUMNS}},
        AlignedBatch,
    ),
)


def _messages(data: bytes) -> list[tuple[Any, bytes]]:
    """The bytes as they are, and a real message that they change place by place."""
    real = REAL[data[0] % len(REAL)] if data else REAL[0]
    changed = bytearray(encode(real))
    for start in range(1, min(len(data), 32) - 2, 3):
        place, value = int.from_bytes(data[start : start + 2], "big"), data[start + 2]
        changed[place % len(changed)] = value
    return [(type(real), data[1:]), (type(real), bytes(changed))]


def _check_message(message: Message) -> None:
    if isinstance(message, CandleBatch | LateCandles):
        candles = candles_of(message)
        assert len(candles) == message.n
        assert all(math.isfinite(number) for candle in candles for number in candle[1:])
    if isinstance(message, AlignedBatch):
        assert len(rows_of(message)) == message.n

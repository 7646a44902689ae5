"""Binance, Bybit and OKX over real HTTP on this machine, as far as ccxt asks them for candles of perpetuals."""

import csv
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bus.messages import Candle
from bus.timeframes import TIMEFRAMES, timeframe

LEAN_DAY_MS = 1_670_889_600_000
LISTED_MS = 1_569_398_400_000
Query = Mapping[str, str]
#: Native id and our timeframe → candles, oldest first; the last may be open.
Tracks = Mapping[tuple[str, str], Sequence[Candle]]


class Answer(Exception):
    """An answer other than the one asked for."""

    def __init__(self, status: int, body: Any, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class StandIn:
    """One venue.

    Attributes:
        requests: Path and query of every request so far.
        instead: Answers to the next requests whose path ends so, each given once.
        cap: Most rows of an answer, whatever the request or the documents say.
    """

    def __init__(self, tracks: Tracks, now_ms: int) -> None:
        self.tracks = tracks
        self.now_ms = now_ms
        self.requests: list[tuple[str, Query]] = []
        self.instead: list[tuple[str, Answer]] = []
        self.cap = 5_000
        self.url = ""

    def asked(self, ending: str) -> list[Query]:
        """The queries of all requests whose path ends so."""
        return [query for path, query in self.requests if path.endswith(ending)]

    def answer(self, path: str, query: Query) -> Any:
        self.requests.append((path, query))
        for planned in self.instead:
            if path.endswith(planned[0]):
                self.instead.remove(planned)
                raise planned[1]
        found = self.paths().get(path)
        if found is None:
            raise Answer(404, {"code": 404, "msg": f"no {path}"})
        return found(query)

    def paths(self) -> dict[str, Callable[[Query], Any]]:
        raise AssertionError("not asked here")

    def rows(self, native_id: str, name: str, first_ms: int, last_ms: int) -> list[Candle]:
        """The candles that open in ``[first_ms, last_ms]``, oldest first."""
        track = self.tracks.get((native_id, name), ())
        return [row for row in track if first_ms <= row.open_time <= min(last_ms, self.now_ms)]

    def closed(self, native_id: str, name: str) -> list[Candle]:
        """All candles that have closed on this venue."""
        step_ms = timeframe(name).duration_ms
        return [row for row in self.tracks[native_id, name] if row.open_time + step_ms <= self.now_ms]

    @property
    def ids(self) -> list[str]:
        return sorted({native_id for native_id, _ in self.tracks})


class Binance(StandIn):
    """USDⓈ-M futures: oldest rows first, and of a long span the oldest."""

    def paths(self) -> dict[str, Callable[[Query], Any]]:
        return {
            "/fapi/v1/time": lambda _: {"serverTime": self.now_ms},
            "/fapi/v1/exchangeInfo": lambda _: self._info(),
            "/fapi/v1/klines": self._klines,
            "/fapi/v1/ticker/24hr": self._ticker,
        }

    def _info(self) -> Any:
        perpetuals = [_binance_contract(native_id) for native_id in self.ids]
        dated = _binance_contract("BTCUSDT") | {
            "symbol": "BTCUSDT_221230", "contractType": "CURRENT_QUARTER", "deliveryDate": 1_672_387_200_000,
        }  # fmt: skip
        return {"timezone": "UTC", "serverTime": self.now_ms, "assets": [], "symbols": [*perpetuals, dated]}

    def _klines(self, query: Query) -> Any:
        if query["symbol"] not in self.ids:
            raise Answer(400, {"code": -1121, "msg": "Invalid symbol."})
        first_ms, last_ms = int(query.get("startTime", 0)), int(query.get("endTime", self.now_ms))
        found = self.rows(query["symbol"], query["interval"], first_ms, last_ms)
        step_ms = timeframe(query["interval"]).duration_ms
        return [
            [t, str(o), str(h), str(l), str(c), str(v), t + step_ms - 1, "0", 1, "0", "0", "0"]
            for t, o, h, l, c, v in found[: min(int(query.get("limit", 500)), self.cap)]  # noqa: E741
        ]

    def _ticker(self, query: Query) -> Any:
        last = next(iter(self.tracks.values()))[-1]
        return {"symbol": query["symbol"], "lastPrice": str(last.close), "closeTime": self.now_ms, "openTime": 0}


class Bybit(StandIn):
    """Linear perpetuals: newest rows first, and of a long span the newest."""

    def paths(self) -> dict[str, Callable[[Query], Any]]:
        return {
            "/v5/market/time": lambda _: self._yes({"timeSecond": str(self.now_ms // 1000)}),
            "/v5/market/instruments-info": self._contracts,
            "/v5/market/kline": self._klines,
        }

    def _contracts(self, query: Query) -> Any:
        listed = [] if query.get("status") == "PreLaunch" else [_bybit_contract(native_id) for native_id in self.ids]
        return self._yes({"category": query["category"], "list": listed, "nextPageCursor": ""})

    def _klines(self, query: Query) -> Any:
        if query["symbol"] not in self.ids:
            return {"retCode": 10001, "retMsg": "Not supported symbols", "result": {}, "time": self.now_ms}
        name = next(name for name, own in TIMEFRAMES.items() if own.duration_ms == int(query["interval"]) * 60_000)
        found = self.rows(query["symbol"], name, int(query["start"]), int(query["end"]))
        most = min(int(query["limit"]), self.cap)
        rows = [[str(field) for field in (*row, row.volume * row.close)] for row in reversed(found[-most:])]
        return self._yes({"symbol": query["symbol"], "category": "linear", "list": rows})

    def _yes(self, result: Any) -> Any:
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": self.now_ms}


class Okx(StandIn):
    """Swaps: newest rows first, both bounds exclusive; old candles only from the endpoint of their history."""

    history_rows = 100

    def paths(self) -> dict[str, Callable[[Query], Any]]:
        return {
            "/api/v5/public/time": lambda _: self._yes([{"ts": str(self.now_ms)}]),
            "/api/v5/public/instruments": lambda _: self._yes([_okx_contract(native_id) for native_id in self.ids]),
            "/api/v5/market/candles": lambda query: self._candles(query, 300),
            "/api/v5/market/history-candles": lambda query: self._candles(query, self.history_rows),
        }

    def _candles(self, query: Query, most: int) -> Any:
        if query["instId"] not in self.ids:
            return {"code": "51001", "msg": "Instrument ID does not exist", "data": []}
        name = query["bar"].removesuffix("utc").lower()
        after, before = int(query.get("after", self.now_ms + 1)), int(query.get("before", 0))
        found = self.rows(query["instId"], name, before + 1, after - 1)[-min(int(query["limit"]), most, self.cap) :]
        # Contracts of a hundredth of a coin, coins, dollars, and whether the candle is complete.
        return self._yes(
            [
                [*map(str, row[:5]), str(row.volume * 100), str(row.volume), str(row.volume * row.close), "1"]
                for row in reversed(found)
            ]
        )

    def _yes(self, data: Any) -> Any:
        return {"code": "0", "msg": "", "data": data}


@contextmanager
def served(venue: StandIn) -> Iterator[StandIn]:
    """Has the venue answer at ``venue.url``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else the kernel holds back the body that follows the headers

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            try:
                answer = Answer(200, venue.answer(parts.path, dict(parse_qsl(parts.query))))
            except Answer as other:
                answer = other
            self.send_response(answer.status)
            for name, value in ({"content-type": "application/json"} | answer.headers).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(venue.now_ms / 1000, usegmt=True)

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    venue.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield venue
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def made_up(start_ms: int, count: int, name: str = "1m", without: Sequence[int] = ()) -> list[Candle]:
    """``count`` slots of candles, those numbered in ``without`` left out."""
    step_ms = timeframe(name).duration_ms
    slots = [n for n in range(count) if n not in without]
    return [Candle(start_ms + n * step_ms, 10.0 + n, 11.5 + n, 9.5 + n, 11.0 + n, n / 8) for n in slots]


def lean(file: Path) -> list[Candle]:
    """A recorded day of minutes."""
    with file.open(newline="") as lines:
        rows = [[float(field) for field in line] for line in csv.reader(lines)]
    return [Candle(LEAN_DAY_MS + int(row[0]), *row[1:6]) for row in rows]


def month(file: Path) -> list[Candle]:
    """A recorded month."""
    rows = json.loads(file.read_text())["candles"]
    return [Candle(int(r["ts"]), *(float(r[f]) for f in ("open", "high", "low", "close", "volume"))) for r in rows]


def _binance_contract(native_id: str) -> dict[str, Any]:
    base = native_id.removesuffix("USDT")
    return {
        "symbol": native_id, "pair": native_id, "contractType": "PERPETUAL", "deliveryDate": 4_133_404_800_000,
        "onboardDate": LISTED_MS, "status": "TRADING", "baseAsset": base, "quoteAsset": "USDT", "marginAsset": "USDT",
        "pricePrecision": 2, "quantityPrecision": 3, "baseAssetPrecision": 8, "quotePrecision": 8,
        "underlyingType": "COIN", "filters": [], "orderTypes": ["LIMIT"], "timeInForce": ["GTC"],
    }  # fmt: skip


def _bybit_contract(native_id: str) -> dict[str, Any]:
    return {
        "symbol": native_id, "contractType": "LinearPerpetual", "status": "Trading",
        "baseCoin": native_id.removesuffix("USDT"), "quoteCoin": "USDT", "settleCoin": "USDT",
        "launchTime": str(LISTED_MS), "deliveryTime": "0", "deliveryFeeRate": "", "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00"}, "priceFilter": {"tickSize": "0.50"},
        "lotSizeFilter": {"maxOrderQty": "100", "minOrderQty": "0.001", "qtyStep": "0.001"}, "fundingInterval": 480,
    }  # fmt: skip


def _okx_contract(native_id: str) -> dict[str, Any]:
    base, quote, _ = native_id.split("-")
    return {
        "instId": native_id, "instType": "SWAP", "instFamily": f"{base}-{quote}", "uly": f"{base}-{quote}",
        "baseCcy": "", "quoteCcy": "", "settleCcy": quote, "ctType": "linear", "ctVal": "0.01", "ctMult": "1",
        "ctValCcy": base, "listTime": str(LISTED_MS), "expTime": "", "state": "live", "lotSz": "1", "minSz": "1",
        "tickSz": "0.1", "lever": "100", "alias": "", "category": "1", "optType": "", "stk": "",
    }  # fmt: skip

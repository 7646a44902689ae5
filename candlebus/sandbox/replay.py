"""Recorded candle files, read into tracks a venue can serve."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.errors import SettingsError
from bus.messages import Candle
from bus.timeframes import TIMEFRAMES, Timeframe
from candlebus.sandbox.listings import Listing, Venue

# A market whose files stand in for BingX's, of which no candle files were recorded.
_VENUES: Final[dict[str, Venue]] = {
    "kucoin_futures": "kucoinfutures",
    "bingx": "bingx",
    "binance_futures": "bingx",
    "bybit": "bingx",
    "binance": "bingx",
}
_INTERVAL = re.compile(r"(\d+)(m|min|h|hour|d|day)")
_UNITS: Final = {"m": "m", "min": "m", "h": "h", "hour": "h", "d": "d", "day": "d"}
_CSV_NAME = re.compile(r"perp_([a-z]+)_([a-z0-9]+usdt)_(\w+)\.csv")
_DAY = re.compile(r"(?:19|20)\d{6}")


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """The closed candles of one file, numbers and volumes as they stand in it.

    Attributes:
        fetched_ms: When they were fetched, ms; candles that were open then are withheld.
    """

    path: Path
    venue: Venue
    native_id: str
    timeframe: Timeframe
    fetched_ms: int
    candles: list[Candle]


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """All tracks of one venue.

    Attributes:
        now_ms: The latest fetch, ms; the venue's clock stands still there.
        tracks: Native id and name of the timeframe → closed candles, oldest first.
    """

    now_ms: int
    tracks: dict[tuple[str, str], list[Candle]]


class _File(msgspec.Struct):
    symbol: str
    interval: str
    source: str
    fetched_at: str = msgspec.field(name="fetchedAt")
    candles: list[dict[str, Any]]


def load(paths: Iterable[str | Path], listings: Sequence[Listing]) -> dict[Venue, Recording]:
    """The recordings of files and folders; folders are searched through, and what holds no candles there is skipped.

    Raises:
        SettingsError: A path is missing, a file is damaged, or no listing matches it; the message names the file.
    """
    asked = list(paths)
    tracks = [track for path, is_named in _files(asked) if (track := read(path, is_named=is_named)) is not None]
    if asked and not tracks:
        raise SettingsError(f"no candle files in {' '.join(map(str, asked))}")
    known = {(listing.venue, listing.native_id) for listing in listings}
    for track in tracks:
        if (track.venue, track.native_id) not in known:
            raise SettingsError(f"{track.path}: the stand-in {track.venue} lists no {track.native_id}")
    return {venue: _recording([t for t in tracks if t.venue == venue]) for venue in {t.venue for t in tracks}}


def read(path: Path, *, is_named: bool = True) -> Track | None:
    """The track of one file; None where it holds no candles and was not asked for by name.

    Raises:
        SettingsError: The file is damaged, or was asked for by name and holds no candles.
    """
    try:
        track = _read_json(path) if path.suffix == ".json" else _read_csv(path)
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{path}: not a candle file: {_cause(error)}") from error
    if track is None and is_named:
        raise SettingsError(
            f"{path}: not a candle file: neither a JSON with candles nor named perp_VENUE_BASEusdt_1m.csv"
        )
    return track


def _files(paths: Iterable[str | Path]) -> Iterator[tuple[Path, bool]]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from ((found, False) for found in sorted(path.rglob("*")) if found.suffix in (".json", ".csv"))
        elif path.is_file():
            yield path, True
        else:
            raise SettingsError(f"{path}: no such file or folder")


def _recording(tracks: Sequence[Track]) -> Recording:
    merged: dict[tuple[str, str], dict[int, Candle]] = {}
    for track in sorted(tracks, key=lambda track: track.fetched_ms):
        rows = merged.setdefault((track.native_id, track.timeframe.name), {})
        rows.update((candle.open_time, candle) for candle in track.candles)
    return Recording(
        now_ms=max(track.fetched_ms for track in tracks),
        tracks={key: [rows[open_time] for open_time in sorted(rows)] for key, rows in merged.items()},
    )


def _read_json(path: Path) -> Track | None:
    content = msgspec.json.decode(path.read_bytes())
    if not isinstance(content, dict) or "candles" not in content:
        return None
    file = msgspec.convert(content, _File)
    venue = _VENUES.get(file.source)
    if venue is None:
        raise ValueError(f"unknown source {file.source!r}")
    timeframe = _timeframe(file.interval)
    rows = [Candle(r["ts"], r["open"], r["high"], r["low"], r["close"], r["volume"]) for r in file.candles]
    fetched_ms = _instant(file.fetched_at)
    return Track(
        path=path,
        venue=venue,
        native_id=_native_id(venue, file.symbol),
        timeframe=timeframe,
        fetched_ms=fetched_ms,
        candles=_closed(timeframe, fetched_ms, rows),
    )


def _read_csv(path: Path) -> Track | None:
    name = _CSV_NAME.fullmatch(path.name)
    if name is None or name[1] not in _VENUES:
        return None
    day = _DAY.search(f"{path.name} {path.absolute().parent.name}")
    if day is None:
        raise ValueError("neither its name nor its folder's tells the day as YYYYMMDD")
    start_ms = int(datetime.strptime(day[0], "%Y%m%d").replace(tzinfo=UTC).timestamp() * 1000)
    with path.open(newline="") as lines:
        rows = [_csv_row(row, start_ms) for row in csv.reader(lines)]
    timeframe = _timeframe(name[3])
    venue = _VENUES[name[1]]
    # Such a file does not tell when it was fetched: a second after its last candle closed.
    fetched_ms = rows[-1].open_time + timeframe.duration_ms + 1000 if rows else start_ms
    return Track(
        path=path,
        venue=venue,
        native_id=_native_id(venue, name[2].upper()),
        timeframe=timeframe,
        fetched_ms=fetched_ms,
        candles=_closed(timeframe, fetched_ms, rows),
    )


def _csv_row(row: Sequence[str], start_ms: int) -> Candle:
    open_, high, low, close, volume = (_number(text) for text in row[1:6])
    return Candle(start_ms + int(row[0]), open_, high, low, close, volume)


def _closed(timeframe: Timeframe, fetched_ms: int, rows: Sequence[Candle]) -> list[Candle]:
    if any(type(row.open_time) is not int or any(type(n) not in (int, float) for n in row) for row in rows):
        raise ValueError("a candle holds something else than numbers")
    if any(row.open_time % timeframe.duration_ms for row in rows):
        raise ValueError(f"an open time is off the {timeframe.name} grid")
    return [row for row in rows if row.open_time + timeframe.duration_ms <= fetched_ms]


def _native_id(venue: Venue, symbol: str) -> str:
    if venue == "bingx" and symbol.endswith("USDT") and "-" not in symbol:
        return symbol.removesuffix("USDT") + "-USDT"
    return symbol


def _timeframe(text: str) -> Timeframe:
    match = _INTERVAL.fullmatch(text)
    found = TIMEFRAMES.get(match[1] + _UNITS[match[2]]) if match else None
    if found is None:
        raise ValueError(f"unknown interval {text!r}")
    return found


def _instant(text: str) -> int:
    told = datetime.fromisoformat(text)
    return round((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() * 1000)


def _number(text: str) -> float:
    # Whole numbers stay whole, so that they leave as they came.
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _cause(error: Exception) -> str:
    text = f"no {error}" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split()) or type(error).__name__

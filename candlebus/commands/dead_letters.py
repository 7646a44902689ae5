"""``candlebus dead``: what its commands do."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from redis import Redis

from bus.clock import RedisClock
from bus.codec import candles_of, decode
from bus.deadletters import DeadLetters, Letter
from bus.errors import BusError, DecodeError, RequestError
from bus.instants import duration, iso
from bus.messages import CandleBatch
from bus.settings import load
from bus.text import printable
from candlebus.commands.shared import shared_bus
from candlebus.output.tables import show, table_of

_COLUMNS: Final = ("id", "entry", "age", "bytes", "reason")
_SHOWN_BYTES: Final = 64
_LONGEST: Final = 2_000


@contextmanager
def _letters() -> Iterator[tuple[Redis, DeadLetters]]:
    with shared_bus(load()) as redis:
        yield redis, DeadLetters(redis)


def listed(*, as_json: bool) -> int:
    """Show all letters; the exit code."""
    with _letters() as (redis, letters):
        now_ms = RedisClock(redis).now_ms()
        if as_json:
            sys.stdout.writelines(f"{msgspec.json.encode(_told(one)).decode()}\n" for one in letters.all())
            return 0
        cells = [_cells(one, now_ms) for one in letters.all()]
    if cells:
        show(sys.stdout, table_of("", _COLUMNS, cells))
    else:
        sys.stdout.write("no dead letters\n")
    return 0


def _cells(letter: Letter, now_ms: int) -> list[str]:
    age = duration(max(0, now_ms - letter.set_aside_ms) / 1000)
    return [_plain(letter.name), _plain(letter.entry_id), age, str(len(letter.body)), _plain(letter.reason)]


def _told(letter: Letter) -> dict[str, Any]:
    fields = {name: getattr(letter, name) for name in ("name", "stream", "entry_id", "reason", "set_aside_ms")}
    return fields | {"bytes": len(letter.body)}


def shown(name: str) -> int:
    """Show one letter; the exit code."""
    with _letters() as (_, letters):
        letter = letters.get(name)
    about = {"stream": letter.stream, "entry": letter.entry_id, "set aside": iso(letter.set_aside_ms)}
    about |= {"reason": letter.reason, "bytes": str(len(letter.body))}
    for field, value in [*about.items(), *_content(letter.body)]:
        sys.stdout.write(f"{field}: {_plain(value)}\n")
    return 0


def _content(body: bytes) -> Iterator[tuple[str, str]]:
    """What can be read of a body: a batch, the fields of something else, or its first bytes."""
    try:
        batch = decode(body, CandleBatch)
    except DecodeError as error:
        yield "as a batch", str(error)
        yield from _fields(body)
        return
    about: Sequence[str] = ("request_id", "page", "version", "volume_unit", "n")
    yield from ((name, str(getattr(batch, name))) for name in about)
    yield "span", f"{iso(batch.since)} to {iso(batch.until)}"
    yield from (("gap", f"{iso(gap.from_ms)} to {iso(gap.to_ms)}, {gap.reason}") for gap in batch.gaps[:5])
    ends = candles_of(batch)
    yield from (("candle", str(list(candle))) for candle in (ends if len(ends) < 4 else [ends[0], ends[-1]]))


def _fields(body: bytes) -> Iterator[tuple[str, str]]:
    try:
        found = msgspec.msgpack.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        yield "begins with", f"{body[:_SHOWN_BYTES]!r}"
        return
    for name, value in list(found.items())[:40]:
        yield name, f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)


def retried(name: str | None, *, every: bool) -> int:
    """Put letters through again; the exit code: 3 where only some could be."""
    with _letters() as (_, letters):
        done = left = 0
        for wanted in _wanted(letters, name, every=every):
            try:
                letter = letters.get(wanted)
                entry_id = letters.retry(letter)
            except RequestError:
                if not every:
                    raise  # with all of them, it was another group's letter of an entry that is through
            except BusError as error:
                left += 1
                sys.stderr.write(f"candlebus: {_plain(str(error))}\n")
            else:
                done += 1
                sys.stdout.write(f"{_plain(wanted)} is entry {entry_id} of {_plain(letter.stream)} now\n")
    return 0 if not left else 3 if done else 1


def dropped(name: str | None, *, every: bool) -> int:
    """Delete letters; the exit code."""
    with _letters() as (_, letters):
        count = sum(letters.drop(letters.get(wanted)) for wanted in _wanted(letters, name, every=every))
    sys.stderr.write(f"candlebus: {count} dead letter{'' if count == 1 else 's'} dropped\n")
    return 0


def _wanted(letters: DeadLetters, name: str | None, *, every: bool) -> list[str]:
    if (name is None) != every:
        raise RequestError("name a dead letter, or all of them with --all; see: candlebus dead list")
    return [one.name for one in letters.all()] if name is None else [name]


def _plain(text: str) -> str:
    return printable(text, _LONGEST)

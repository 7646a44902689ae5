"""Entries set aside, unchanged and with the reason: list them, put them through again, or drop them."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from redis import Redis

from bus import keys
from bus.codec import decode, encode
from bus.errors import BusError, DecodeError, EntriesLost, RequestError
from bus.messages import CandleBatch, DeadLetter
from bus.scan import names_under
from bus.scripts import Script

_AT_ONCE: Final = 50
_ID: Final = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)


class Letter(msgspec.Struct, frozen=True):
    """A dead letter where it lies.

    Attributes:
        letter_id: Its entry in the dead letters of ``stream``.
        stream: The stream from which the entry was set aside.
        entry_id: Id that the entry had there; empty where the letter itself cannot be read.
    """

    letter_id: str
    stream: str
    entry_id: str
    reason: str
    body: bytes

    @property
    def name(self) -> str:
        """By which people and programs name it: ``<letter id>@<stream without its prefix>``."""
        return f"{self.letter_id}@{self.stream.removeprefix(keys.PREFIX)}"

    @property
    def set_aside_ms(self) -> int:
        """When it was set aside, ms by the server's clock."""
        return int(self.letter_id.partition("-")[0])


class DeadLetters:
    """All dead letters of a bus."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._retry = Script(redis, "retry_letter")

    def all(self) -> Iterator[Letter]:
        """Every letter, stream by stream, the oldest first."""
        for stream in sorted(set(names_under(self._redis, keys.dead("")))):
            yield from self.of(stream)

    def of(self, stream: str) -> Iterator[Letter]:
        """The letters of one stream, the oldest first."""
        start = "-"
        while found := self._page(stream, start):
            yield from (_letter(stream, entry_id.decode(), fields) for entry_id, fields in found)
            start = f"({found[-1][0].decode()}"

    def _page(self, stream: str, start: str) -> Any:
        return self._redis.xrange(keys.dead(stream), start, count=_AT_ONCE)

    def get(self, name: str) -> Letter:
        """The letter of that name.

        Raises:
            RequestError: There is none.
        """
        letter_id, _, rest = name.partition("@")
        stream = keys.PREFIX + rest
        found: Any = self._redis.xrange(keys.dead(stream), letter_id, letter_id) if _ID.fullmatch(letter_id) else []
        if not found:
            raise RequestError(f"no dead letter {name[:200]!r}; see: candlebus dead list")
        return _letter(stream, letter_id, found[0][1])

    def retry(self, letter: Letter) -> str:
        """Publish the batch of a letter once more; the id of its new entry. The letter is gone then.

        The copy is a request of its own, ``dead-<entry id>``, of one page: each page of a request stays in its stream
        once, and who reads the entry when the first one could be read too takes the candles twice, which by their
        version is harmless. Letters that several groups made of one entry are one.

        Raises:
            DecodeError: It still cannot be read.
            EntriesLost: Nothing is left of the entry.
            BusError: The stream is full, or somebody else was quicker.
        """
        batch = _readable(letter)
        again = msgspec.structs.replace(batch, request_id=f"dead-{letter.entry_id}", page=0)
        names = [keys.dead(letter.stream), letter.stream, keys.sequence(letter.stream), keys.streams()]
        alike = [one.letter_id for one in self.of(letter.stream) if one.entry_id == letter.entry_id]
        ids = [letter.letter_id, *(one for one in alike if one != letter.letter_id)]
        outcome, detail = self._retry(names, [encode(again), keys.STREAM_HIGH_WATER, *ids])
        if outcome == b"published":
            return str(detail.decode())
        if outcome == b"full":
            raise BusError(f"{letter.stream} holds {int(detail)} entries, as many as it may; let its groups read first")
        raise BusError(f"dead letter {letter.name} is gone: somebody retried or dropped it")

    def drop(self, letter: Letter) -> bool:
        """Delete a letter; whether it was there."""
        return bool(self._redis.xdel(keys.dead(letter.stream), letter.letter_id))


def _letter(stream: str, letter_id: str, fields: dict[bytes, bytes]) -> Letter:
    body = fields.get(b"b", b"")
    try:
        found = decode(body, DeadLetter)
    except DecodeError as error:
        return Letter(letter_id, stream, "", f"the letter itself cannot be read: {error}", body)
    return Letter(letter_id, stream, found.entry_id, found.reason, found.body)


def _readable(letter: Letter) -> CandleBatch:
    if not letter.body:
        raise EntriesLost(f"of entry {letter.entry_id} of {letter.stream} nothing is left; ask for its span again")
    try:
        batch = decode(letter.body, CandleBatch)
    except DecodeError as error:
        raise type(error)(f"{letter.name} still cannot be read: {error}") from error
    if keys.candles(batch.exchange, batch.timeframe, batch.symbol) != letter.stream:
        raise DecodeError(f"{letter.name} is a batch of {batch.series} {batch.timeframe}, not of its stream")
    return batch

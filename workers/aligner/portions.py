"""How much one answer of the server may bring: it holds all of it in memory until the aligner has read it."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

#: Entries that one trip asks for at most: 35 MB of pages of 1,440 candles, 123 MB of the largest ones. A server lets go
#: of a client that leaves more unread than it allows (the embedded one: 256 MB), and what was asked for is lost then.
MOST_ENTRIES: Final = 512
_T = TypeVar("_T")


def portions(members: Sequence[_T]) -> Iterator[list[_T]]:
    """The members, as many at a time as one trip may ask for, when each brings one entry."""
    rest = iter(members)
    while part := list(islice(rest, MOST_ENTRIES)):
        yield part

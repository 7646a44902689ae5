"""Which exchanges there are."""

from difflib import get_close_matches
from typing import Final

from bus.errors import UnknownExchange
from workers.exchanges.base import Exchange
from workers.exchanges.bingx import BingX
from workers.exchanges.kucoinfutures import KucoinFutures

_ADAPTERS: Final[dict[str, Exchange]] = {adapter.facts.name: adapter for adapter in (BingX(), KucoinFutures())}


def names() -> list[str]:
    """The exchanges with an adapter, in alphabetical order."""
    return sorted(_ADAPTERS)


def get(name: str) -> Exchange:
    """The adapter of that exchange.

    Raises:
        UnknownExchange: There is none; the message names the likeliest, or all.
    """
    found = _ADAPTERS.get(name)
    if found is not None:
        return found
    likely = _likely(name.lower())
    hint = f": did you mean {likely}?" if likely else f"; known: {' '.join(names())}"
    raise UnknownExchange(f"unknown exchange {name[:80]!r}{hint}")


def _likely(name: str) -> str | None:
    begun = [known for known in names() if name and (known.startswith(name) or name.startswith(known))]
    return next(iter(begun or get_close_matches(name, names(), n=1)), None)

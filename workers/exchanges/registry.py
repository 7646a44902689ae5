"""Which exchanges there are: ours, and beside them all of ccxt's that have candles of perpetual swaps."""

from difflib import get_close_matches
from typing import Final

from bus.errors import UnknownExchange
from workers.exchanges.base import Exchange
from workers.exchanges.bingx import BingX
from workers.exchanges.kucoinfutures import KucoinFutures

_ADAPTERS: Final[dict[str, Exchange]] = {adapter.facts.name: adapter for adapter in (BingX(), KucoinFutures())}


def names() -> list[str]:
    """The exchanges with an adapter of their own, in alphabetical order."""
    return sorted(_ADAPTERS)


def names_through_ccxt() -> list[str]:
    """The exchanges that are asked through ccxt, by its ids, in alphabetical order; imports ccxt."""
    from workers.exchanges import generic

    return sorted(name for name in generic.venues() if name not in _ADAPTERS and not _begins_a_name(name))


def get(name: str) -> Exchange:
    """The adapter of that exchange; one of ccxt's ids gets an adapter of its own each time.

    Raises:
        UnknownExchange: There is none; the message names the likeliest, or says which there are.
    """
    found = _ADAPTERS.get(name)
    if found is not None:
        return found
    # Imported here alone: ccxt takes half a second and tens of megabytes, which a worker of ours need not pay.
    if not _begins_a_name(name):
        from workers.exchanges import generic

        if name in generic.names():
            return generic.GenericExchange(name)
    likely = _likely(name.lower())
    hint = f": did you mean {likely}?" if likely else f"; known: {' '.join(names())}, and ccxt's ids such as okx"
    raise UnknownExchange(f"unknown exchange {name[:80]!r}{hint}")


def _begins_a_name(name: str) -> bool:
    # ccxt's kucoin is spot and futures in one; whoever writes it here means the futures.
    return any(known.startswith(name.lower()) and known != name for known in names())


def _likely(name: str) -> str | None:
    begun = [known for known in names() if name and (known.startswith(name) or name.startswith(known))]
    if begun:
        return begun[0]
    from workers.exchanges import generic

    return next(iter(get_close_matches(name, [*names(), *generic.names()], n=1)), None)

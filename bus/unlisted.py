"""What to say of a symbol that an exchange does not list."""

import difflib
from collections.abc import Iterable

from bus.errors import UnknownSymbol


def unlisted(exchange: str, symbol: str, listed: Iterable[str]) -> UnknownSymbol:
    """The error, with the symbol whose coin is spelled most alike, or where to look."""
    base, _, rest = symbol.partition("/")
    alike = [one for one in listed if one.partition("/")[2] == rest]
    near = difflib.get_close_matches(base, [one.partition("/")[0] for one in alike], n=1, cutoff=0.6)
    hint = f"did you mean {exchange}:{near[0]}/{rest}?" if near else f"see: candlebus contracts {exchange}"
    return UnknownSymbol(f"{exchange} lists no {symbol}; {hint}")

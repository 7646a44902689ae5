"""What a client's callers may pass: whole numbers and instants, and nothing that only looks like them."""

import operator

from bus.errors import RequestError


def whole(name: str, value: object) -> int:
    """The whole number, at least 1.

    Raises:
        RequestError: It is none; a number in text or with a fraction is not guessed at.
    """
    found = _integer(value)
    if found is None or found < 1:
        raise RequestError(f"{name} must be a whole number of at least 1, not {_shown(value)}")
    return found


def instant(name: str, value: object) -> int | None:
    """The instant in ms since 1970, UTC; None for None.

    Raises:
        RequestError: It is no such instant.
    """
    if value is None:
        return None
    found = _integer(value)
    if found is None or not 0 <= found < 2**53:
        raise RequestError(f"{name} must be a time in ms since 1970, not {_shown(value)}")
    return found


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type] # also numpy's integers
    except TypeError:
        return None


def _shown(value: object) -> str:
    return repr(value)[:80]

"""Libraries that serve where they are installed and are missed in one line where they are not."""

from collections.abc import Iterator
from contextlib import contextmanager

from bus.errors import SettingsError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Imports inside name the extra to install where they fail.

    Args:
        extra: Name of the library and of the extra of ours that brings it.

    Raises:
        SettingsError: The library is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise SettingsError(f"{extra} is not installed; try: pip install 'candlebus[{extra}]'") from error

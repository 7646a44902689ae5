"""How many cases a property is tried on: a tenth of the full number, unless the profile ``full`` is asked for."""

from hypothesis import settings

FULL = "full"


def cases(full: int) -> settings:
    """The settings of a property that a full run tries on so many cases; the same ones every time."""
    is_full = settings.get_current_profile_name() == FULL
    return settings(max_examples=full if is_full else full // 10, deadline=None, derandomize=True)

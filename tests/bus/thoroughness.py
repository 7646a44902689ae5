"""How many cases a property is tried on: a tenth of the full number, unless the profile ``full`` is asked for."""

from hypothesis import Phase, settings

FULL = "full"
#: Fails at the first case that does, whatever its size: for mutants.
FIRST = "first"


def cases(full: int) -> settings:
    """The settings of a property that a full run tries on so many cases; the same ones every time."""
    profile = settings.get_current_profile_name()
    phases = [Phase.explicit, Phase.generate] if profile == FIRST else list(Phase)
    return settings(
        max_examples=full if profile == FULL else full // 10, deadline=None, derandomize=True, phases=phases
    )

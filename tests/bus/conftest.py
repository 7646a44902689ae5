"""``pytest tests/bus --hypothesis-profile=full`` tries every property on its full number of cases."""

from hypothesis import settings

from tests.bus.thoroughness import FIRST, FULL

settings.register_profile(FULL)
settings.register_profile(FIRST)

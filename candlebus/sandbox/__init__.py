"""Stand-in exchanges over real HTTP, for the demo, the tests, the benchmarks and users' own tests."""

from candlebus.sandbox.exchange import Stats
from candlebus.sandbox.faults import FAULTS, FaultPlan, Planned
from candlebus.sandbox.listings import VENUES, Listing
from candlebus.sandbox.server import Sandbox

__all__ = ["FAULTS", "VENUES", "FaultPlan", "Listing", "Planned", "Sandbox", "Stats"]

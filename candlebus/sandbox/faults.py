"""Faults of a venue: which request meets which, drawn by a seed or planned by number."""

import re
from typing import Final, Literal, cast, get_args

import msgspec

from bus.errors import SettingsError
from bus.messages import Candle
from candlebus.sandbox.chance import mix, seed_of, uniform
from candlebus.sandbox.dialect import QUESTIONS, Question

Fault = Literal[
    "http_429",  # refused for the rate, wait a second
    "http_418",  # banned, wait a second
    "http_500",
    "http_503",
    "html",  # HTTP 200 with a web page
    "truncated",  # the body ends before its Content-Length
    "drop",  # the connection closes with no reply
    "slow",  # the body comes in crumbs
    "busy",  # a well-formed answer whose code says busy
    "overload",  # KuCoin: refused as if for the rate though quota is left; BingX: busy
    "empty_body",  # HTTP 200 with nothing
    "code_1015",  # the page with which Cloudflare refuses an address
    "empty_page",  # a valid answer without candles, complete when asked again
    "short_page",  # a valid answer that lacks candles, complete when asked again
]
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
#: Faults that touch the rows of a page and nothing else.
PAGE_FAULTS: Final = frozenset({"empty_page", "short_page"})

_PLANNED = re.compile(r"(\w+)#(\d+)(?:-(\d+))?")


class Planned(msgspec.Struct, frozen=True):
    """The ``first`` to the ``last`` request that asks for this, counted from 1, meet the fault."""

    question: Question | Literal["any"]
    first: int
    last: int
    fault: Fault


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which faults happen.

    Attributes:
        chances: Fault → its probability for each request, in [0, 1]; together at most 1.
        planned: Faults by number of the request; they come before chance.
        seed: Of chance; one seed, one order of faults.
    """

    chances: dict[Fault, float] = {}
    planned: tuple[Planned, ...] = ()
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> "FaultPlan":
        """The plan of a text such as ``http_500=0.02,drop=0.01,candles#3=busy,any#5-9=http_503,seed=7``.

        Raises:
            SettingsError: A part is no fault, no probability or no number; the message says which.
        """
        parts = [part.partition("=") for part in text.replace(" ", "").split(",") if part]
        planned = tuple(_planned(name, value) for name, _, value in parts if "#" in name)
        chances = {_fault(name): _chance(name, value) for name, _, value in parts if "#" not in name and name != "seed"}
        seeds = [_seed(value) for name, _, value in parts if name == "seed"]
        if sum(chances.values()) > 1:
            raise SettingsError(f"the probabilities of the faults {text!r} sum to more than 1")
        return cls(chances=chances, planned=planned, seed=seeds[-1] if seeds else 0)


class FaultBook:
    """Draws the faults of one venue, request by request, and remembers which candles it has withheld."""

    def __init__(self, plan: FaultPlan, venue: str) -> None:
        self._venue = venue
        self._withheld: dict[str, set[int]] = {}
        self.follow(plan)

    def follow(self, plan: FaultPlan) -> None:
        """Go by another plan, whose numbers count from here; what a former one withheld is not withheld again."""
        self._plan = plan
        self._seed = seed_of("faults", self._venue, str(plan.seed))
        self._count = 0
        self._counts = dict.fromkeys(QUESTIONS, 0)

    def draw(self, question: Question) -> Fault | None:
        """The fault that the next request meets; pages are spared where nobody asked for candles."""
        self._count += 1
        self._counts[question] += 1
        fault = self._planned(question) or self._chance()
        return None if fault in PAGE_FAULTS and question != "candles" else fault

    def thin(self, fault: Fault, series: str, rows: list[Candle]) -> list[Candle]:
        """The page without what the fault withholds; no candle is ever withheld twice."""
        known = self._withheld.setdefault(series, set())
        fresh = [row.open_time for row in rows if row.open_time not in known]
        lost = set(fresh if fault == "empty_page" else self._some(fresh))
        known |= lost
        return [row for row in rows if row.open_time not in lost]

    def _planned(self, question: Question) -> Fault | None:
        for planned in self._plan.planned:
            count = self._count if planned.question == "any" else self._counts[question]
            if planned.question in ("any", question) and planned.first <= count <= planned.last:
                return planned.fault
        return None

    def _chance(self) -> Fault | None:
        drawn = uniform(self._seed, self._count)
        for fault, chance in self._plan.chances.items():
            drawn -= chance
            if drawn < 0:
                return fault
        return None

    def _some(self, open_times: list[int]) -> list[int]:
        # About every eighth candle, and one at least.
        chosen = [t for t in open_times if mix(self._seed + self._count, t) % 8 == 0]
        return chosen or open_times[:1]


def _fault(name: str) -> Fault:
    for fault in FAULTS:
        if fault == name:
            return fault
    raise SettingsError(f"unknown fault {name!r}; there are: {' '.join(FAULTS)}")


def _chance(name: str, text: str) -> float:
    try:
        chance = float(text)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise SettingsError(f"the probability of the fault {name} is {text!r}, which is not between 0 and 1")
    return chance


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise SettingsError(f"the seed of the faults is {text!r}, which is no whole number") from error


def _planned(name: str, fault: str) -> Planned:
    match = _PLANNED.fullmatch(name)
    question = match[1] if match else ""
    if match is None or question not in (*QUESTIONS, "any") or match[2] == "0":
        questions = " ".join((*QUESTIONS, "any"))
        raise SettingsError(f"planned fault {name!r} is not WHAT#N or WHAT#N-M with WHAT of: {questions}")
    first = int(match[2])
    return Planned(cast(Question, question), first, int(match[3] or first), _fault(fault))

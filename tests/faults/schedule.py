"""Which faults come when: a pure function of the seed."""

from collections.abc import Callable, Collection, Iterator
from random import Random
from typing import Final, Literal

import msgspec

from candlebus.sandbox.faults import FAULTS
from candlebus.sandbox.listings import VENUES
from tests.faults.proxy import TOXICS, Toxic, ToxicKind

Fsync = Literal["always", "everysec"]
Number = int | float | bool | str

#: Cases that share a server's data and a fleet; then both begin anew.
CASES_AN_EPOCH: Final = 8
_FAULTS_A_CASE: Final = (20, 28)
_LONGEST_PAUSE_S: Final = 0.3
_LONGEST_HOLD_S: Final = 1.5
#: Clocks step by no more than this here, ms: records of requests live an hour.
_LONGEST_STEP_MS: Final = 25 * 60_000


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault.

    Attributes:
        kind: Such as ``kill`` or ``cut_before_reply``.
        target: What it strikes: a role, a clock, the server, a link or an exchange.
        numbers: What the kind needs to know, by name.
        hold_s: How long it lasts, or how long what was killed stays away.
        pause_s: How long until the next fault begins.
    """

    kind: str
    target: str
    numbers: dict[str, Number] = {}
    hold_s: float = 0.0
    pause_s: float = 0.0


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Faults that overlap, after which everything must be as if they had not been."""

    number: int
    fsync: Fsync
    begins_epoch: bool
    faults: tuple[Fault, ...]

    def without(self, names: Collection[str]) -> "Case":
        """The same case without faults of these names, a kind and a target each, such as ``clock_step server``."""
        kept = tuple(fault for fault in self.faults if f"{fault.kind} {fault.target}" not in names)
        return msgspec.structs.replace(self, faults=kept)


_Draw = Callable[[Random], dict[str, Number]]


class _Kind(msgspec.Struct, frozen=True, kw_only=True):
    weight: int
    targets: tuple[str, ...]
    draw: _Draw = lambda _: {}
    holds: bool = False


_LINK_TOXICS: Final = tuple(kind for kind in TOXICS if kind != "bomb")
_LINKS: Final = ("workers-bus", "aligners-bus", *VENUES)


def _which(random: Random) -> dict[str, Number]:
    """Which of the members of a role, as a number that is taken modulo their count."""
    return {"which": random.randrange(1_000)}


def _power(random: Random) -> dict[str, Number]:
    return {"share": random.random(), "sync_ms": random.choice([20, 100, 400]), "twice": random.random() < 0.5}


def _step(random: Random) -> dict[str, Number]:
    return {"ms": random.choice([-1, 1]) * random.choice([1_500, 70_000, random.randint(1, _LONGEST_STEP_MS)])}


def _rewrite(random: Random) -> dict[str, Number]:
    return {"after_s": random.uniform(0, 0.05), "share": random.random()}


_KINDS: Final[dict[str, _Kind]] = {
    "kill": _Kind(weight=12, targets=("worker", "worker", "aligner", "guardian"), draw=_which),
    "kill_supervisor": _Kind(weight=1, targets=("supervisor",), draw=_which),
    "terminate": _Kind(weight=2, targets=("worker", "aligner"), draw=_which),
    "pause": _Kind(weight=7, targets=("worker", "worker", "aligner", "server"), draw=_which, holds=True),
    "kill_server": _Kind(weight=5, targets=("server",), holds=True),
    "lose_power": _Kind(weight=5, targets=("server",), draw=_power),
    "tear_page": _Kind(weight=1, targets=("server",)),
    "kill_in_rewrite": _Kind(weight=1, targets=("server",), draw=_rewrite),
    "slow_fsync": _Kind(
        weight=3, targets=("server",), draw=lambda random: {"ms": random.choice([20, 200, 1_000])}, holds=True
    ),
    "full_disk": _Kind(
        weight=2, targets=("server",), draw=lambda random: {"room_bytes": random.randrange(20_000)}, holds=True
    ),
    "full_memory": _Kind(
        weight=2, targets=("server",), draw=lambda random: {"room_bytes": random.randrange(200_000)}, holds=True
    ),
    "client_kill": _Kind(
        weight=4, targets=("server",), draw=lambda random: {"times": random.randint(1, 5), "every_s": 0.1}
    ),
    "few_clients": _Kind(weight=1, targets=("server",), draw=lambda random: {"clients": 4}, holds=True),
    "busy_script": _Kind(weight=2, targets=("server",), holds=True),
    "forget_scripts": _Kind(weight=2, targets=("server",)),
    "destroy_group": _Kind(weight=1, targets=("server",), draw=_which),
    "bomb": _Kind(weight=2, targets=VENUES, holds=True),
    "clock_step": _Kind(weight=3, targets=("worker", "aligner", "server"), draw=_step, holds=True),
    "link": _Kind(weight=60, targets=_LINKS, holds=True),
    "exchange": _Kind(weight=20, targets=VENUES, holds=True),
}


def names() -> set[str]:
    """Every kind of fault with every target that it strikes, such as ``clock_step server``."""
    found = {f"{name} {target}" for name, kind in _KINDS.items() for target in kind.targets}
    found -= {f"{name} {target}" for name in ("link", "exchange") for target in _KINDS[name].targets}
    found |= {f"{toxic_kind} {link}" for toxic_kind in _LINK_TOXICS for link in _LINKS}
    return found | {f"{fault} {venue}" for fault in FAULTS for venue in VENUES}


def schedule(seed: int) -> Iterator[Case]:
    """The cases of a seed, without end; the same for ever."""
    number = 0
    while True:
        epoch = Random(f"{seed} epoch {number // CASES_AN_EPOCH}")  # noqa: S311 - repeatable on purpose
        yield case(seed, number, epoch.choice(["always", "everysec"]))
        number += 1


def case(seed: int, number: int, fsync: Fsync) -> Case:
    """One case of a seed, whatever came before it."""
    random = Random(f"{seed} case {number}")  # noqa: S311 - repeatable on purpose
    faults = tuple(_fault(random) for _ in range(random.randint(*_FAULTS_A_CASE)))
    return Case(number=number, fsync=fsync, begins_epoch=number % CASES_AN_EPOCH == 0, faults=faults)


def _fault(random: Random) -> Fault:
    name = random.choices(list(_KINDS), [kind.weight for kind in _KINDS.values()])[0]
    kind = _KINDS[name]
    target, numbers = random.choice(kind.targets), kind.draw(random)
    if name == "link":
        name = random.choice(_LINK_TOXICS)
        numbers = _dose(random, name)
    elif name == "exchange":
        name = random.choice(FAULTS)
        numbers = {"chance": random.choice([0.2, 0.6, 1.0]), "seed": random.randrange(1_000_000)}
    hold_s = random.uniform(0.2, _LONGEST_HOLD_S) if kind.holds else 0.0
    return Fault(
        kind=name,
        target=target,
        numbers=numbers,
        hold_s=round(hold_s, 3),
        pause_s=round(random.uniform(0, _LONGEST_PAUSE_S), 3),
    )


def _dose(random: Random, kind: ToxicKind) -> dict[str, Number]:
    doses: dict[ToxicKind, dict[str, Number]] = {
        "latency": {"ms": random.randint(20, 400)},
        "bandwidth": {"bytes": random.randint(5_000, 50_000)},
        "slow_close": {"ms": random.randint(100, 2_000)},
        "timeout": {"ms": random.randint(100, 2_000)},
        "slicer": {"bytes": random.randint(1, 40), "ms": 1},
        "limit_data": {"bytes": random.randint(1, 1_000)},
        "cut_before_reply": {"count": random.randint(1, 8)},
        "cut_in_reply": {"bytes": random.randint(1, 1_000)},
    }
    return doses.get(kind, {})


def toxic(fault: Fault) -> Toxic | None:
    """The toxic of a fault on a link; None for other faults."""
    if fault.kind not in TOXICS:
        return None
    return msgspec.convert({"kind": fault.kind, **fault.numbers}, Toxic)

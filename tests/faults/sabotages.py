"""Every sabotage of our own code must turn the harness red: ``python -m tests.faults.sabotages [NUMBER…]``.

Prints a table; exits with 1 where one goes unnoticed.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from tests.faults.bench import Set
from tests.faults.harness import CaseReport, Harness
from tests.faults.schedule import Case, Fault, Fsync, Number

_FOLDER: Final = Path(__file__).with_name("sabotage")
_MOST_CASES: Final = 8
_RECOVERY_S: Final = 20.0
_TOLD: Final = 160


class Sabotage(msgspec.Struct, frozen=True, kw_only=True):
    """A deliberate fault, and the case that must notice it.

    Attributes:
        number: That of the list of deliberate faults in docs/reliability.md.
        name: What is broken.
        file: The patch in ``sabotage/``; empty where the server is set up wrongly instead.
        faults: What the case strikes with, over and over.
        needs: A program without which it cannot be shown.
    """

    number: int
    name: str
    file: str = ""
    faults: tuple[Fault, ...] = ()
    fsync: Fsync = "always"
    how: Set = Set()
    needs: str = ""


def _many(
    kind: str, target: str, times: int, *, pause_s: float = 0.3, hold_s: float = 0, **numbers: Number
) -> list[Fault]:
    which = [numbers if "which" not in numbers else {**numbers, "which": at} for at in range(times)]
    return [Fault(kind=kind, target=target, numbers=own, hold_s=hold_s, pause_s=pause_s) for own in which]


def _cuts(count: int) -> tuple[Fault, ...]:
    """Replies to workers that have published a page are lost, over and over."""
    cut = Fault(
        kind="cut_before_reply",
        target="workers-bus",
        numbers={"count": 1, "within": "candles.v1"},
        hold_s=0.3,
        pause_s=0.35,
    )
    return (cut,) * count


_POWER: Final = _many("tear_page", "server", 4, pause_s=0.6)
_UNEVEN: Final = [Fault(kind="down", target="kucoinfutures", hold_s=6)]  # one series of each group waits for the other

SABOTAGES: Final = (
    Sabotage(
        number=1, name="the library repeats commands; a page sent again is not recognised",
        file="01_repeated_commands", faults=_cuts(20),
    ),
    Sabotage(number=2, name="plain XADD instead of the script", file="02_plain_xadd", faults=_cuts(20)),
    Sabotage(
        number=3, name="fence and checkpoint ignored", file="03_fence_ignored",
    ),
    Sabotage(
        number=4, name="acknowledged before the rows are written", file="04_acknowledged_before_output",
        faults=tuple(_many("kill", "aligner", 16, which=0)),
    ),
    Sabotage(
        number=5, name="no repair of a torn append-only file (Redis 7.0)", faults=tuple(_POWER),
        how=Set(wrapped=False, program=shutil.which("redis-server")), needs="redis-server",
    ),
    Sabotage(number=6, name="MAXLEN on the candle streams", file="06_maxlen"),
    Sabotage(
        number=7, name="a consumer group created at $", file="07_group_at_the_end",
        faults=tuple(_many("destroy_group", "server", 6, which=0)),
    ),
    Sabotage(number=8, name="maxmemory-policy allkeys-lru", how=Set(options=("--maxmemory-policy", "allkeys-lru"))),
    Sabotage(
        number=9, name="two queues on one worker, no sweeper", file="09_two_queues",
        faults=tuple(_many("kill", "worker", 12, which=0)),
    ),
    Sabotage(
        number=10, name="no sweeper (our requests need no Retry of RQ's)", file="10_no_sweeper",
        faults=tuple(_many("kill", "worker", 8, which=0)),
    ),
    Sabotage(
        number=11, name="what was pending is not read", file="11_pending_not_read",
        faults=(*_UNEVEN, *_many("kill", "aligner", 12, which=0)),
    ),
    Sabotage(
        number=12, name="closed or not by the worker's clock", file="12_local_clock",
        faults=tuple(_many("clock_step", "worker", 1, hold_s=5, pause_s=5, ms=1_200_000)),
    ),
    Sabotage(
        number=13, name="bodies unpacked whole", file="13_whole_body",
        faults=tuple(_many("bomb", "bingx", 4, hold_s=0.5, pause_s=0.8)),
    ),
    Sabotage(
        number=14, name="a budget for each process", file="14_limiter_per_process",
        faults=(Fault(kind="latency", target="aligners-bus", numbers={"ms": 1}, hold_s=12, pause_s=12),),
        how=Set(workers=4),
    ),
    Sabotage(
        number=15, name="deliveries counted as attempts", file="15_deliveries_counted",
        faults=(*_UNEVEN, *_many("kill", "aligner", 12, which=0)),
    ),
)  # fmt: skip


def main(numbers: list[str]) -> int:
    """Run them; the exit code."""
    chosen = [one for one in SABOTAGES if not numbers or str(one.number) in numbers]
    folder = Path(tempfile.mkdtemp(prefix="candlebus-sabotage-"))
    _say("| # | sabotage | noticed | what was said | s |\n| ---: | --- | --- | --- | ---: |")
    unnoticed = [one.number for one in chosen if not _noticed(one, folder / f"{one.number:02}")]
    if unnoticed:
        _say(f"UNNOTICED: {unnoticed}; kept: {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _noticed(one: Sabotage, folder: Path) -> bool:
    if one.needs and shutil.which(one.needs) is None:
        _say(f"| {one.number} | {one.name} | not run | there is no {one.needs} here | |")
        return True
    begun_at = time.monotonic()
    patches = (_FOLDER / f"{one.file}.py",) if one.file else ()
    harness = Harness(folder, one.number, msgspec.structs.replace(one.how, patches=patches), recovery_s=_RECOVERY_S)
    found = harness.run(_cases(one), lambda _: True)
    seconds = time.monotonic() - begun_at
    noticed = f"case {found.number + 1}" if found else "NO"
    _say(f"| {one.number} | {one.name} | {noticed} | {_told(found)} | {seconds:.0f} |")
    return found is not None


def _cases(one: Sabotage) -> Iterator[Case]:
    peace = (Fault(kind="latency", target="aligners-bus", numbers={"ms": 1}, hold_s=4, pause_s=4),)
    for number in range(_MOST_CASES):
        yield Case(number=number, fsync=one.fsync, begins_epoch=number == 0, faults=one.faults or peace)


def _told(found: CaseReport | None) -> str:
    text = found.violation.splitlines()[0].replace("|", "/") if found else ""
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}…"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""When a worker process ends itself to be started anew: after its share of jobs, or once it has grown too much."""

from collections.abc import Callable, Iterator

import pytest

from workers.lifespan import Lifespan, resident_bytes

MIB = 2**20


def jobs_done(lifespan: Lifespan, most: int = 1_000) -> int:
    """After which job it is over."""
    return next(job for job in range(1, most + 1) if lifespan.is_over_after_job())


def sizes(*mib: int) -> Callable[[], int]:
    found: Iterator[int] = iter(mib)
    return lambda: next(found) * MIB


def test_it_is_over_after_so_many_jobs() -> None:
    assert jobs_done(Lifespan(jobs=20, resident=lambda: MIB, chance=lambda: 1.0)) == 20


def test_it_is_over_once_the_process_has_grown_too_much_since_its_first_job() -> None:
    grown = sizes(500, 560, 599, 601)
    assert jobs_done(Lifespan(growth_bytes=100 * MIB, resident=grown, chance=lambda: 1.0)) == 4


def test_a_process_that_is_large_from_the_start_does_not_end_over_and_over() -> None:
    assert jobs_done(Lifespan(jobs=50, growth_bytes=MIB, resident=lambda: 10_000 * MIB, chance=lambda: 1.0)) == 50


@pytest.mark.parametrize(("drawn", "jobs"), [(0.0, 75), (0.5, 88), (0.999, 100)])
def test_processes_that_began_together_end_at_different_times(drawn: float, jobs: int) -> None:
    assert jobs_done(Lifespan(jobs=100, resident=lambda: 0, chance=lambda: drawn)) == jobs


def test_the_system_tells_how_much_memory_this_process_has() -> None:
    before = resident_bytes()
    held = b"x" * (64 * MIB)
    assert 32 * MIB < resident_bytes() - before < 128 * MIB
    assert len(held) == 64 * MIB

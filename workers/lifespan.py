"""How long a worker process lives: once it has done or grown enough it ends, between two jobs, and is started anew."""

import os
import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

MOST_JOBS: Final = 20_000
#: Beyond what the process had after its first job, when all that it keeps warm is there.
MOST_GROWTH_BYTES: Final = 256 * 2**20
#: Each process draws its own bounds, down to such a share of these: workers that began together do not end together.
_LEAST_SHARE: Final = 0.75
_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Memory of this process that is in RAM; the most it ever had where the system does not tell the present."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Lifespan:
    """The bounds of one process."""

    def __init__(
        self,
        *,
        jobs: int = MOST_JOBS,
        growth_bytes: int = MOST_GROWTH_BYTES,
        resident: Callable[[], int] = resident_bytes,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Begin to count.

        Args:
            resident: Bytes of memory that the process has now.
            chance: Draws a number from [0, 1).
        """
        share = _LEAST_SHARE + (1 - _LEAST_SHARE) * chance()
        self._jobs = max(1, round(jobs * share))
        self._growth_bytes = growth_bytes * share
        self._resident = resident
        self._first_bytes: int | None = None
        self._done = 0

    def is_over_after_job(self) -> bool:
        """Count one more job; whether the process should end now."""
        self._done += 1
        now_bytes = self._resident()
        if self._first_bytes is None:
            self._first_bytes = now_bytes
        return self._done >= self._jobs or now_bytes - self._first_bytes > self._growth_bytes

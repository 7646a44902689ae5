"""Faults below the processes: a wall clock that steps, an fsync that is slow and accounted for."""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("preload.c")
_SLOTS: Final = 1024
_SYNC_BYTES: Final = 8 + _SLOTS * 16


class Preload:
    """The preloaded library and the files through which it is told what to do.

    Attributes:
        is_there: Whether there was a compiler; without one clocks do not step and fsync is as it is.
    """

    def __init__(self, folder: Path) -> None:
        """Compile the library into ``folder``."""
        self._folder = folder
        self._library = folder / "preload.so"
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler:
            command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._library), str(_SOURCE), "-ldl"]
            subprocess.run(command, check=True, capture_output=True)
        self.is_there = compiler is not None
        self._clocks: dict[str, mmap.mmap] = {}
        self._syncs = self._page("sync", _SYNC_BYTES)

    def environment(self, clock: str, *, syncs: bool = False) -> dict[str, str]:
        """What a process needs in its environment.

        Args:
            clock: Name of the clock that it reads; processes of one name step together.
            syncs: Whether its fsync is slowed and accounted for.
        """
        if not self.is_there:
            return {}
        if clock not in self._clocks:
            self._clocks[clock] = self._page(f"clock-{clock}", 8)
        variables = {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._folder / f"clock-{clock}")}
        return variables | ({"CHAOS_SYNC": str(self._folder / "sync")} if syncs else {})

    def step(self, clock: str, ms: int) -> None:
        """Set a clock so far off the truth, ms."""
        self._clocks[clock][:8] = struct.pack("=q", ms)

    def slow_syncs(self, ms: float) -> None:
        """Have every fsync take so much longer, ms."""
        self._syncs[:8] = struct.pack("=q", round(ms * 1000))

    def durable_bytes(self, file: Path) -> int:
        """How much of a file would outlive a loss of power."""
        inode = file.stat().st_ino
        pairs = struct.iter_unpack("=qq", self._syncs[8:_SYNC_BYTES])
        return max((size for known, size in pairs if known == inode), default=0)

    def forget_syncs(self, durable: list[Path]) -> None:
        """Know nothing of any file (inodes are used again) but that these are durable as they are."""
        stats = [file.stat() for file in durable]
        known = b"".join(struct.pack("=qq", one.st_ino, one.st_size) for one in stats)
        self._syncs[8:_SYNC_BYTES] = known.ljust(_SYNC_BYTES - 8, b"\0")

    def _page(self, name: str, size: int) -> mmap.mmap:
        path = self._folder / name
        path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            return mmap.mmap(file.fileno(), size)

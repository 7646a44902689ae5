"""What a process remembers of a pause, by a clock that never steps; pure.

The server's key ends by the server's clock: where that is set ahead by an hour, a ban of an hour is over at once, and
an address that asks on is banned for longer.
"""

from typing import Final

#: Two ends within so much of each other are one; so much less silence than the exchange asked for is no matter.
_CLOSE_MS: Final = 1_000


class PauseMemory:
    """The longest pause that a process set or was told of; one for all its threads.

    Takes no lock: what a thread overwrites, the server tells at the next look.

    Attributes:
        reason: Why the exchange is left alone; empty where it is not.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """There is no pause."""
        self._until_s, self._ends_ms, self.reason = float("-inf"), 0, ""

    def note(self, now_s: float, left_ms: int, reason: str, *, ends_ms: int = 0) -> None:
        """Remember a pause, unless it is known, or a longer one is.

        Args:
            now_s: This process's monotonic clock, seconds, not after ``left_ms`` was true.
            left_ms: How long it lasts from then on, ms.
            ends_ms: When it ends by the server's clock, ms UTC; 0 while the server has not said.
        """
        known_ms = self.left_ms(now_s)
        is_known = known_ms > 0 and abs(ends_ms - self._ends_ms) <= _CLOSE_MS
        if not is_known and left_ms > known_ms - _CLOSE_MS:
            self._until_s, self._ends_ms, self.reason = now_s + left_ms / 1000, ends_ms, reason

    def left_ms(self, now_s: float) -> int:
        """How long the pause still lasts, ms, at least 0."""
        return int(1000 * max(0.0, self._until_s - now_s))

    def cut_short_ms(self, now_s: float, told_ms: int, server_ms: int) -> int:
        """How long the pause still lasts, ms, where the server must be told, since its clock was set ahead; else 0.

        A pause that is gone though the server's clock has not come to its end was ended by hand.

        Args:
            told_ms: How long it lasts by the server, ms.
            server_ms: The server's clock, ms UTC.
        """
        left_ms = self.left_ms(now_s)
        ahead_ms = server_ms + left_ms - self._ends_ms
        return left_ms if min(ahead_ms, left_ms - told_ms) > _CLOSE_MS else 0

"""How commands end that would run for ever."""

import sys
from types import TracebackType


class UntilInterrupted:
    """Takes Ctrl-C for the regular end of its body, wherever in it that comes."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, KeyboardInterrupt):
            return False
        sys.stderr.write("candlebus: ending\n")
        return True

"""What the command line writes to and reads from, whatever that is: closed, full, or without a reader."""

import errno
import os
import sys
from typing import Final

#: What the system says of a file or stream that takes no more; another error of its has another cause.
UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})

_NAMES: Final = ("stdin", "stdout", "stderr")
_ERROR: Final = 2


def stand_in() -> None:
    """Put something in the place of the standard streams that were closed before the start.

    What goes to such an error stream is read by nobody; what goes to such an output cannot be written, and says so once
    it is flushed. Their descriptors are taken too: otherwise the next file or connection would get them, and whatever a
    child process says would go there.
    """
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is None:
            # The lowest free descriptor is this stream's own.
            opened = os.open(os.devnull, os.O_WRONLY if number == _ERROR else os.O_RDONLY)
            os.set_inheritable(opened, True)
            setattr(sys, name, os.fdopen(opened, "w" if number else "r"))


def discard_output() -> None:
    """Send what still waits to be written to standard output nowhere: at exit it would fail, and be told of, again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

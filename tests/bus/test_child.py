"""The guardian between a process and its child."""

import subprocess
import sys
from typing import Final

#: A guardian whose child ends just after it has looked at it, having been woken by another signal.
ENDS_AFTER_THE_LOOK: Final = """
import os, signal, time
from bus import child

look, looks = child._reaped, []

def followed_by_the_end(pid):
    found = look(pid)
    looks.append(found)
    if len(looks) == 1:
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    return found

child._reaped = followed_by_the_end
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.2)
print(child.guard(60, ["sleep", "60"]), len(looks))
"""


def test_a_child_that_ends_right_after_the_look_at_it_is_noticed() -> None:
    command, pipe = [sys.executable, "-c", ENDS_AFTER_THE_LOOK], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as guardian:
        try:
            guardian.wait(20)  # its input stays open: the end of that would wake it too
        finally:
            guardian.kill()
        assert guardian.stdout is not None
        assert guardian.stdout.read().split() == ["-9", "2"]

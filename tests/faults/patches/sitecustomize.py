"""Runs before every Python process of the fleet: applies the test-only patches that the harness names for it.

On PYTHONPATH of those processes only. CHAOS_PATCHES holds paths of files, separated by colons. On SIGUSR1 a process
writes the stacks of its threads to the fleet's log.
"""

import faulthandler
import os
import runpy
import signal
import traceback

faulthandler.register(signal.SIGUSR1)

#: What a process ends with whose patch does not fit the code any more; nothing else ends with it.
MISFIT = 97

for path in filter(None, os.environ.get("CHAOS_PATCHES", "").split(":")):  # noqa: TID251
    try:
        runpy.run_path(path)
    except Exception:  # noqa: BLE001 - a process without its patch would prove nothing
        traceback.print_exc()
        os._exit(MISFIT)

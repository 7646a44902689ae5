"""Runs before every Python process of the fleet: applies the test-only patches that the harness names for it.

On PYTHONPATH of those processes only. CHAOS_PATCHES holds paths of files, separated by colons. On SIGUSR1 a process
writes the stacks of its threads to the fleet's log.
"""

import faulthandler
import os
import runpy
import signal

faulthandler.register(signal.SIGUSR1)

for path in filter(None, os.environ.get("CHAOS_PATCHES", "").split(":")):  # noqa: TID251
    runpy.run_path(path)

"""Runs before every Python process of the fleet: applies the test-only patches that the harness names for it.

On PYTHONPATH of those processes only. CHAOS_PATCHES holds paths of files, separated by colons.
"""

import os
import runpy

for path in filter(None, os.environ.get("CHAOS_PATCHES", "").split(":")):  # noqa: TID251
    runpy.run_path(path)

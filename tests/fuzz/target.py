"""One property under Atheris until its runs are over or it fails: ``python -m tests.fuzz.target NAME [OPTION…]``."""

import gc
import sys

import atheris

with atheris.instrument_imports(include=["bus", "workers", "email"], enable_loader_override=False):
    from tests.fuzz.properties import PROPERTIES

# The objects of one execution hold no circles; a collection in the middle of one would only look slow.
gc.freeze()
atheris.Setup(sys.argv[1:], PROPERTIES[sys.argv[1]], enable_python_coverage=True)
atheris.Fuzz()

"""Faults made by hand, to see that a test notices each: ``python tests/mutants/run.py``."""

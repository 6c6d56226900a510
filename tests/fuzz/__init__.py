"""Hostile input by the hundred through the real command line: ``python -m tests.fuzz.NAME COUNT SEED``."""

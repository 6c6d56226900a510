"""Tests, and what they share: ``from tests.builders import draw``."""

"""Shared by all tests; its folder is importable, so that builders.py is."""

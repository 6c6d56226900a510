"""Runtimes that compute a tower without torch, each an optional package of its own."""

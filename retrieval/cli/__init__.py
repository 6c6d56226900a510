"""The command line: one small file a command, each of them options, one call, and printing."""

from retrieval.cli.group import main

__all__ = ["main"]

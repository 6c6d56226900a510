"""The command line: one file per command, with its options, one call of the library, and printing."""

from importlib import import_module

TYPE_CHECKING = (
    False  # typing's, which a working directory in front of all packages might hold (see start.py)
)
if TYPE_CHECKING:
    from retrieval.cli.group import main as main

__all__ = ["main"]


def __getattr__(name: str) -> object:
    """Import the group of commands when it is asked for."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("retrieval.cli.group").main

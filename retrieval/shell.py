"""Advice that can be pasted: paths and words as a shell reads them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def shell_command(*arguments: str | Path) -> str:
    """A ``vlsearch`` command that can be pasted into a shell, whatever its arguments hold."""
    return " ".join(["vlsearch", *map(shell_word, arguments)])


def shell_word(argument: str | Path) -> str:
    """An argument as one word of a POSIX shell: quoted where it must be, and never with a control character.

    A path that begins with a hyphen is written so that no command takes it for an option.
    """
    text = str(argument)
    if isinstance(argument, Path) and text.startswith("-"):
        text = f"./{text}"
    return shlex.quote(text) if text.isprintable() else _ansi_quoted(text)


def _ansi_quoted(text: str) -> str:
    r"""A word as ``$'a\nb'``, which bash and zsh read, byte by byte."""
    plain = {ord(character) for character in map(chr, range(32, 127)) if character not in "'\\"}
    spelt = (chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in os.fsencode(text))
    return f"$'{''.join(spelt)}'"

"""Quote commands, paths and words in messages so that they can be pasted into a shell."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from retrieval.places import CollectionPlace


def shell_command(*arguments: str | CollectionPlace) -> str:
    """Give a ``vlsearch`` command that can be pasted into a shell, whatever characters its arguments hold."""
    return " ".join(["vlsearch", *map(shell_word, arguments)])


def command_on(collection: str | CollectionPlace, *arguments: str | CollectionPlace) -> str:
    """Give a ``vlsearch`` command on a collection, as :func:`shell_command` does: pasted, it asks no other one."""
    return shell_command(*arguments, "--collection", collection)


def shell_word(argument: str | CollectionPlace) -> str:
    """Quote an argument as one word of a POSIX shell; the result never holds a control character.

    A path that begins with a hyphen is written so that no command takes it for an option.
    """
    text = str(argument)
    if isinstance(argument, Path) and text.startswith("-"):
        text = f"./{text}"
    return shlex.quote(text) if text.isprintable() else _ansi_quoted(text)


def _ansi_quoted(text: str) -> str:
    r"""Quote a word byte by byte in the form ``$'a\nb'`` of bash and zsh."""
    plain = {ord(character) for character in map(chr, range(32, 127)) if character not in "'\\"}
    spelt = (chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in os.fsencode(text))
    return f"$'{''.join(spelt)}'"

"""Writes every command's help into cli.md, between its markers.

python docs/regenerate.py
"""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from retrieval.cli import main

CLI = Path(__file__).parent / "cli.md"
WIDTH = 96
_BLOCK = re.compile(r"<!-- vlsearch (?P<arguments>.*?)-->\n```text\n.*?```\n", re.DOTALL)


def regenerated(document: str) -> str:
    """The document with the help texts of today between its markers."""
    return _BLOCK.sub(_block, document)


def _block(match: re.Match[str]) -> str:
    arguments = match["arguments"].split()
    done = CliRunner().invoke(main, arguments, terminal_width=WIDTH, prog_name="vlsearch")
    return f"<!-- vlsearch {' '.join(arguments)} -->\n```text\n{done.stdout.rstrip()}\n```\n"


if __name__ == "__main__":
    CLI.write_text(regenerated(CLI.read_text(encoding="utf-8")), encoding="utf-8")

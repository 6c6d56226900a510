"""Writes every command's help and the table of formats into cli.md, between their markers.

python docs/regenerate.py
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from click.testing import CliRunner

from retrieval.cli import main
from retrieval.corpora import FORMATS, Format

CLI = Path(__file__).parent / "cli.md"
WIDTH = 96
_BLOCK = re.compile(r"<!-- vlsearch (?P<arguments>.*?)-->\n```text\n.*?```\n", re.DOTALL)


_TABLE = re.compile(r"<!-- formats -->\n(\|.*\n)*")


def regenerated(document: str) -> str:
    """The document with the help texts and the formats of today between its markers."""
    table = f"<!-- formats -->\n{format_table(FORMATS)}"
    return _TABLE.sub(lambda _: table, _BLOCK.sub(_block, document))


def format_table(formats: Iterable[Format]) -> str:
    """A table in Markdown with a row for each format."""
    rows = ["| CORPUS | format | what is read | an item's uri |", "|---|---|---|---|"]
    for one in formats:
        corpus = ", ".join(f"`{name}`" for name in one.names) or one.title
        rows.append(f"| {corpus} | `{one.name}` | {one.help} | `...{one.uri}` |")
    return "".join(f"{row}\n" for row in rows)


def _block(match: re.Match[str]) -> str:
    arguments = match["arguments"].split()
    done = CliRunner().invoke(main, arguments, terminal_width=WIDTH, prog_name="vlsearch")
    return f"<!-- vlsearch {' '.join(arguments)} -->\n```text\n{done.stdout.rstrip()}\n```\n"


if __name__ == "__main__":
    CLI.write_text(regenerated(CLI.read_text(encoding="utf-8")), encoding="utf-8")

"""The picture in docs/architecture.md and the code are one: the same rooms, and no import but along its arrows."""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.test_architecture import ALL, ROOT, imports_of

PUBLIC = {"retrieval", "retrieval.testing"}
"""Lazy tables of public names, and what users' own tests import: they name things of every room."""


def room_of(module: str) -> str:
    """The folder of ``retrieval`` or ``indexer`` that a module lies in; for single files ``ground`` and ``indexer``.

    ``retrieval/types`` is of the ground: single files stand on its values, as it does on them.
    """
    top, _, rest = module.partition(".")
    folder = rest.partition(".")[0]
    if folder != "types" and folder and (ROOT / top / folder).is_dir():
        return folder
    return "ground" if top == "retrieval" else "indexer"


def drawn() -> dict[str, set[str]]:
    """Arrows of the drawing, from a room to the rooms right below it."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.partition("```mermaid")[2].partition("```")[0]
    arrows: dict[str, set[str]] = defaultdict(set)
    for line in block.splitlines():
        if "-->" not in line or "disk" in line:
            continue
        groups = [re.findall(r"\w+", part) for part in line.split("-->")]
        for upper, lower in itertools.pairwise(groups):
            for room in upper:
                arrows[room] |= set(lower)
    return arrows


def below(arrows: dict[str, set[str]], room: str) -> set[str]:
    """All rooms that can be reached from one along the arrows."""
    found: set[str] = set()
    ahead = [room]
    while ahead:
        for other in arrows.get(ahead.pop(), set()) - found:
            found.add(other)
            ahead.append(other)
    return found


MODULES = [(name, path) for name, path in ALL if name not in PUBLIC]
NAMES = {name for name, _ in MODULES}


def test_the_drawing_has_every_room_of_the_code_and_no_other() -> None:
    arrows = drawn()

    assert {*arrows, *(room for rooms in arrows.values() for room in rooms)} == {
        room_of(name) for name, _ in MODULES
    }


def test_no_arrow_of_the_drawing_leads_back() -> None:
    arrows = drawn()

    assert not [room for room in arrows if room in below(arrows, room)]


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_imports_follow_the_arrows(name: str, path: Path) -> None:
    room = room_of(name)
    allowed = {room, *below(drawn(), room)}

    for imported in imports_of(path):
        if imported.partition(".")[0] in ("retrieval", "indexer") and imported != "retrieval":
            assert room_of(imported) in allowed, f"{name} imports {imported}"


def files_imported(path: Path) -> set[str]:
    """Modules of ours that a file imports: ``from package import module`` is that module, not the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {
                full if (full := f"{node.module}.{alias.name}") in NAMES else str(node.module)
                for alias in node.names
            }
    return found & NAMES


def test_no_files_import_each_other_in_a_circle() -> None:
    arrows = {name: files_imported(path) - {name} for name, path in MODULES}

    assert not [name for name in arrows if name in below(arrows, name)]

"""What messages may say, checked over every text in the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.cli.group import SECTIONS

ROOT = Path(__file__).parent.parent
HELD = "\0"  # stands for a value in an f-string
COMMANDS = "|".join(name for commands in SECTIONS.values() for name in commands)
COMMAND = re.compile(rf"\b(vlsearch ({COMMANDS})\b|tar -|pip install)[^\n`]*")
PYTHON = re.compile(r"\(?in Python\b|\b[a-z_]+=(True|False|None|'|\0)|pathlib")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string in a file but docstrings; values in f-strings are NUL."""
    tree = ast.parse(path.read_bytes())
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    notes = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if id(node) in parts | notes:
            continue
        if isinstance(node, ast.JoinedStr):
            values = (part.value if isinstance(part, ast.Constant) else spelt(part) for part in node.values)
            yield node.lineno, "".join(str(value) for value in values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def spelt(part: ast.expr) -> str:
    """What stands for a value: nothing where it is quoted for a shell, and for counts and the like."""
    assert isinstance(part, ast.FormattedValue)
    value = part.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return "" if value.func.id in ("shell_word", "shell_command") else HELD
    return HELD


FILES = sorted(path for package in ("retrieval", "indexer") for path in (ROOT / package).rglob("*.py"))
CONSTANT = {  # commands whose values are names of ours, which hold nothing that a shell would read
    "vlsearch models get \0",  # the alias of a recommended model
    "pip install 'vlsearch[\0]'",
}


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_every_command_in_a_message_is_quoted_for_the_shell(path: Path) -> None:
    for line, text in texts(path):
        for command in COMMAND.finditer(text):
            assert HELD not in command.group() or command.group() in CONSTANT, f"{path}:{line}: {text}"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_only_errors_that_have_a_wording_for_the_shell_too_speak_python(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    for line, text in texts(path):
        if " " in text and PYTHON.search(text):
            assert (path.name == "errors.py" and "def in_shell" in source) or _never_at_the_shell(text), (
                f"{path}:{line}: {text}"
            )


def _never_at_the_shell(text: str) -> bool:
    """Refusals of Python values that no command line can give."""
    return "is a str but no uri" in text


@pytest.mark.parametrize("text", ["look with: vlsearch info \0", "tar -tf \0", "vlsearch index 'a' \0"])
def test_an_unquoted_command_would_be_found(text: str) -> None:
    found = COMMAND.search(text)

    assert found is not None
    assert HELD in found.group()
    assert found.group() not in CONSTANT


@pytest.mark.parametrize(
    "text", ["search with find=\0", "pass prune=True", "(in Python: a str)", "find='text'"]
)
def test_python_in_a_message_would_be_found(text: str) -> None:
    assert PYTHON.search(text)

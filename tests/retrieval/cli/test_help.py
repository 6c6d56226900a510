"""Help comes at once, from the table of commands, and says what the commands' own texts say."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from retrieval.cli import main
from retrieval.cli.group import LazyGroup
from tests.command_line import Run

assert isinstance(main, LazyGroup)
COMMANDS = list(main.table)
HEAVY = {
    "numpy",
    "torch",
    "torchvision",
    "transformers",
    "faiss",
    "sqlalchemy",
    "PIL",
    "pyarrow",
    "httpx",
    "rich",
}


def modules_loaded_by(*arguments: str) -> set[str]:
    code = (
        "import sys\n"
        "from retrieval.cli import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: " in done.stdout or "vlsearch " in done.stdout
    return {name.partition(".")[0] for name in done.stderr.splitlines()}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["index", "--help"], ["query", "--help"], ["eval", "--help"]],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert modules_loaded_by(*arguments) & HEAVY == set()


def test_no_module_of_a_command_loads_anything_heavy() -> None:
    modules = sorted({module for module, _ in main.table.values()})
    code = (
        "import sys\n" + "\n".join(f"import {name}" for name in modules) + "\nprint(*sys.modules, sep='\\n')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {name.partition(".")[0] for name in done.stdout.splitlines()} & HEAVY == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_short_help_of_the_table(name: str) -> None:
    command = main.get_command(click.Context(main), name)

    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(100) == main.table[name][1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_explained(name: str) -> None:
    command = main.get_command(click.Context(main), name)

    assert command is not None
    unexplained = [
        option.name for option in command.params if isinstance(option, click.Option) and not option.help
    ]
    assert unexplained == []


def test_the_groups_help_lists_every_command(run: Run) -> None:
    done = run("--help")

    assert done.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout

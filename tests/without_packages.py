"""Run commands in one process that finds some packages not installed: ``python -m tests.without_packages``.

Standard input holds JSON: the packages, and the arguments of each command. Standard output, too: what each command
printed, and which of the packages anything has tried to import.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from traceback import walk_stack
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Done:
    """What a command left."""

    exit_code: int
    stdout: str
    stderr: str


def run_without(packages: Sequence[str], *commands: Sequence[str | Path]) -> tuple[list[Done], list[str]]:
    """What each command left, in order; and those of the packages that anything tried to import, sorted."""
    asked = json.dumps([list(packages), [[str(word) for word in command] for command in commands]])
    process = subprocess.run(
        [sys.executable, "-m", "tests.without_packages"],
        cwd=ROOT,
        input=asked,
        capture_output=True,
        text=True,
        check=True,
    )
    done, imported = json.loads(process.stdout)
    return [Done(*facts) for facts in done], imported


class _Finder(PathFinder):
    """Finds all that is installed but some packages; keeps the names of those that an import asked for."""

    hidden: frozenset[str] = frozenset()
    imported: set[str]

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package = fullname.partition(".")[0]
        if package in cls.hidden:
            if any(frame.f_code.co_name == "_find_and_load" for frame, _ in walk_stack(None)):
                cls.imported.add(package)  # else somebody only wants to know whether it is there
            return None
        return super().find_spec(fullname, path, target)


def hide(packages: Sequence[str]) -> set[str]:
    """Let this process find packages not installed; the set fills with those that anything then tries to import."""
    _Finder.hidden, _Finder.imported = frozenset(packages), set()
    sys.meta_path[sys.meta_path.index(PathFinder)] = _Finder
    return _Finder.imported


def _main() -> None:
    packages, commands = json.load(sys.stdin)
    imported = hide(packages)
    from retrieval.cli import progress
    from tests.command_line import vlsearch

    progress.QUICK_SECONDS = 3600  # what is told on the way depends on how fast the machine is
    done = [vlsearch(*command) for command in commands]
    for result in done:
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
    json.dump([[(one.exit_code, one.stdout, one.stderr) for one in done], sorted(imported)], sys.stdout)


if __name__ == "__main__":
    _main()

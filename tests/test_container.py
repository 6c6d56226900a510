"""The Dockerfile, as far as it can be checked without a daemon: what it copies, installs and runs is there."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import click

from retrieval.cli import main
from retrieval.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
LINES = [line.split(None, 1) for line in TEXT.splitlines() if line and not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def arguments_of(instruction: str) -> list[str]:
    return [rest for name, rest in LINES if name == instruction]


def test_every_stage_has_a_python_that_the_package_takes() -> None:
    least = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))

    versions = [re.match(r"python:(\d+)\.(\d+)-slim", image) for image in arguments_of("FROM")]

    assert len(versions) == 2
    assert all(found is not None and (int(found[1]), int(found[2])) >= least for found in versions)


def test_the_build_sees_what_the_package_is_made_of_and_nothing_else() -> None:
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()

    assert patterns[0] == "*"
    seen = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    assert seen == {"retrieval", "indexer", "pyproject.toml", "README.md", "LICENSE"}
    assert all((ROOT / name).exists() for name in seen)


def test_the_extras_that_it_installs_exist() -> None:
    (extras,) = re.findall(r"\.whl\)\[([\w,]+)\]", TEXT)

    assert set(extras.split(",")) == {"serve", "mcp", "postgres"} <= set(EXTRAS)


def test_it_runs_a_command_that_there_is_with_options_that_it_takes_and_not_as_root() -> None:
    (command,) = arguments_of("CMD")
    program, name, *options = json.loads(command)
    (port,) = arguments_of("EXPOSE")

    assert program in PROJECT["scripts"]
    found = main.get_command(click.Context(main), name)
    assert found is not None
    parsed = found.make_context(name, options).params
    assert (parsed["host"], parsed["port"], parsed["browser"]) == ("0.0.0.0", int(port), False)
    assert arguments_of("USER") == ["vlsearch"]

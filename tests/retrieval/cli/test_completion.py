"""What a shell offers while a command is typed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

import indexer
from retrieval.cli import main
from tests.builders import HashEncoder
from tests.command_line import Run


def offered(*arguments: str, typed: str = "") -> list[str]:
    """The values offered after some arguments; ``<file>`` and ``<dir>`` where the shell lists them itself."""
    found = BashComplete(main, {}, "vlsearch", "_VLSEARCH_COMPLETE").get_completions(list(arguments), typed)
    return [item.value if item.type == "plain" else f"<{item.type}>" for item in found]


def test_commands_are_offered_without_importing_one() -> None:
    code = (
        "import sys; from click.shell_completion import BashComplete as B; from retrieval.cli import main\n"
        "print([item.value for item in B(main, {}, 'vlsearch', 'X').get_completions([], 'in')])\n"
        "print([name for name in sys.modules if name.startswith('retrieval.cli.') and name.endswith('.info')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)

    assert done.stdout.splitlines() == ["['index', 'info']", "[]"]


def test_options_and_the_values_of_options_are_offered() -> None:
    assert offered("query", typed="--off") == ["--offset"]
    assert offered("query", "--mode") == ["vector", "words", "hybrid"]
    assert offered("models", typed="g") == ["get"]


def test_files_are_left_to_the_shell() -> None:
    assert offered("index") == offered("query") == offered("similar") == offered("delete") == ["<file>"]


def test_recommended_models_and_those_of_the_hubs_cache_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--sigma--clip").mkdir()
    (tmp_path / "models--sig$(x)--clip").mkdir()

    assert offered("index", "--model", typed="si")[:1] == ["siglip-base"]
    assert offered("models", "get", typed="sig")[-1] == "sigma/clip"
    assert offered("reindex", "--model", typed="/nowhere/x") == ["<dir>"]


def test_collections_are_offered_and_else_folders(
    tmp_path: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()

    assert offered("info", "--collection", typed="col") == ["collection"]
    assert offered("info", "--collection", typed="./c") == ["./collection"]
    assert offered("info", "--collection", typed="pic") == ["<dir>"]
    assert offered("info", "--collection", typed="missing/") == ["<dir>"]


def test_fields_of_items_and_the_collections_attributes_are_offered_but_none_that_a_shell_would_obey(
    tmp_path: Path,
) -> None:
    path = tmp_path / "shop"
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        writer.add("1", "a mug", attributes={"weight": 1, "wei$(rm)": 2, "we\n;x": 3})

    assert offered("query", "--collection", str(path), "--where", typed="w") == ["width", "weight"]
    assert offered("list", "--collection", str(tmp_path / "none"), "--where", typed="w") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_for_each_shell(run: Run, shell: str) -> None:
    done = run("completion", shell)

    assert done.exit_code == 0
    assert "_VLSEARCH_COMPLETE" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    command = tmp_path / "vlsearch"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m retrieval.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    script = (
        'eval "$(vlsearch completion bash)"; COMP_WORDS=(vlsearch qu); COMP_CWORD=1; '
        '_vlsearch_completion vlsearch; echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, encoding="utf-8", env=environment, check=True
    )

    assert done.stdout.split() == ["query"]

"""What the documents say is so: help texts, examples, the README's two commands, links."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from retrieval.cli import main
from retrieval.cli.group import LazyGroup
from retrieval.metadata.attributes import RULES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

assert isinstance(main, LazyGroup)


def fenced(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)


def test_the_help_texts_in_the_documents_are_the_commands_own() -> None:
    document = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

    # in a process of its own: click keeps the help option of a command that a test has called without its group
    code = "import runpy, sys; sys.stdout.write(runpy.run_path(sys.argv[1])['regenerated'](sys.stdin.read()))"
    today = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code, str(ROOT / "docs" / "regenerate.py")],
        input=document,
        capture_output=True,
        encoding="utf-8",
        check=True,
        cwd=ROOT,
    ).stdout

    assert document == today, "bring it up to date with: python docs/regenerate.py"


def test_every_attribute_of_metadata_is_documented_with_its_meaning() -> None:
    document = (ROOT / "docs" / "metadata.md").read_text(encoding="utf-8")
    rows = [line for line in document.splitlines() if line.startswith("| `")]

    assert rows == [f"| `{name}` | {rule.meaning} |" for name, rule in RULES.items()]


@pytest.mark.parametrize("name", list(main.table))
def test_every_command_is_documented(name: str) -> None:
    document = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

    assert f"<!-- vlsearch {name} --help -->" in document
    assert f"\n## {name}\n" in document


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the pictures that the examples speak of."""
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(["beach", "dog", "sunset", "mug"]):
        Image.new("RGB", (64, 48), (60 * number, 90, 200 - 60 * number)).save(tmp_path / f"photos/{name}.jpg")
    (tmp_path / "captions.csv").write_text("file,title,taken\nphotos/dog.jpg,a dog in the snow,2024-01-02\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_examples_run_from_top_to_bottom(
    examples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = fenced((ROOT / "docs" / "python.md").read_text(encoding="utf-8"), "python")

    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)

    said = capsys.readouterr().out
    assert "4 pictures, 4 encoded, 0 failed" in said
    assert "epoch 1 " in said
    assert "sku-1 {'price': 7.5}" in said or "sku-2 {}" in said
    assert said.endswith("sound\n")


def test_the_python_example_of_the_readme_runs(examples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = fenced(README, "python")

    exec(compile(block, "README.md", "exec"), {})

    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_readme_is_a_tour_and_no_manual() -> None:
    assert len(README.splitlines()) < 200


def test_the_readme_has_one_command_that_shows_the_main_job_and_one_that_tests() -> None:
    demo = [line for line in README.splitlines() if "pip install . " in line]
    tests = [line for line in README.splitlines() if "'.[test]'" in line]  # .ci/run takes it from here

    assert len(demo) == len(tests) == 1
    assert demo[0].endswith("vlsearch demo")
    assert "pytest" in tests[0]


@pytest.mark.parametrize("path", DOCUMENTS, ids=[path.name for path in DOCUMENTS])
def test_every_link_between_documents_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target

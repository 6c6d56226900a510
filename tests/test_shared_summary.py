"""A run says at its end how many tests it left out because the shared data is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SKIPPED = """
@pytest.mark.shared
@pytest.mark.skipif(True, reason="the shared data is not at /nowhere")
def test_{name}() -> None:
    raise AssertionError
"""


def last_lines(folder: Path, *tests: str) -> str:
    path = folder / "test_some.py"
    path.write_text("\n".join(["import pytest", "def test_one() -> None: pass", *tests]), encoding="utf-8")
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("count", "line"),
    [(1, "1 test needs the project's shared data"), (3, "3 tests need the project's shared data")],
)
def test_a_run_without_the_shared_data_says_in_one_line_how_many_tests_need_it(
    tmp_path: Path, count: int, line: str
) -> None:
    tests = [SKIPPED.format(name=f"shared_{number}") for number in range(count)]
    elsewhere = "@pytest.mark.skip(reason='another system')\ndef test_other() -> None: pass"

    shown = last_lines(tmp_path, *tests, elsewhere)

    assert [one for one in shown.splitlines() if "shared data and did not run" in one] == [
        f"{line} and did not run: it is not beside the repository"
    ]


def test_a_run_that_skips_nothing_for_want_of_data_says_nothing(tmp_path: Path) -> None:
    assert "shared data" not in last_lines(tmp_path)

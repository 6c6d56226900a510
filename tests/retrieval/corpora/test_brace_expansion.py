from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.corpora.braces import EXPANSION_LIMIT, expand_braces
from retrieval.errors import UsageError


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("train.tar", ["train.tar"]),
        ("train-{000..003}.tar", ["train-000.tar", "train-001.tar", "train-002.tar", "train-003.tar"]),
        ("{9..11}", ["9", "10", "11"]),
        ("{09..11}", ["09", "10", "11"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{train,val}-{0..1}.tar", ["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]),
        ("a{b,c{1,2}}", ["ab", "ac1", "ac2"]),
        ("a{,b}", ["a", "ab"]),
        ("{one}.tar", ["{one}.tar"]),
        ("{open", ["{open"]),
    ],
)
def test_braces_expand_as_in_bash(pattern: str, names: list[str]) -> None:
    assert expand_braces(pattern) == names


def test_a_pattern_for_too_many_names_is_a_usage_error_at_once() -> None:
    with pytest.raises(UsageError, match=f"more than {EXPANSION_LIMIT:,} names"):
        expand_braces("{0..999999999999999999}")


_WORDS = st.text("abc", min_size=1, max_size=2)
_BRACES = st.recursive(
    _WORDS
    | st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda ends: f"{{{ends[0]:02d}..{ends[1]:02d}}}"),
    lambda inner: st.lists(inner, min_size=2, max_size=3).map(lambda words: "{" + ",".join(words) + "}"),
    max_leaves=5,
)


@pytest.mark.skipif(shutil.which("bash") is None, reason="compares with bash, which is not installed")
@settings(max_examples=30)
@given(pattern=st.lists(_BRACES, min_size=1, max_size=3).map("".join))
def test_any_pattern_expands_to_what_bash_makes_of_it(pattern: str) -> None:
    script = f"printf '%s\\n' {pattern}"  # only letters, digits, braces, commas and dots
    bash = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )

    assert expand_braces(pattern) == bash[:-1]


@pytest.mark.parametrize("pattern", ["{a," * 30_000, "{a,b}" * 200, "{0..9}" * 40, "x" * 5000 + "{a,b}"])
def test_a_pattern_longer_than_a_path_or_of_many_braces_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(UsageError, match="split it into several runs"):
        expand_braces(pattern)

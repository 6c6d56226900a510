"""Of one picture and its texts no more is held than a fixed amount; what is beyond is a failure with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.retrieval.corpora.corpus_reading import read, write


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"caption": "a", **{f"k{n}": n for n in range(5000)}}, "it has 5,000 attributes, and at most 4,096 are kept"),
        ({"caption": ["a"] * 2000}, "there are more than 1,000 captions"),
        ({"caption": "x" * 70_000}, "a caption is longer than 65,536 characters"),
        ({"caption": "a", "x": json.loads("[" * 150 + "]" * 150)}, "the JSON is nested too deeply"),
    ],
)  # fmt: skip
def test_a_record_that_holds_too_much_is_a_failure_and_the_next_is_read(
    tmp_path: Path, record: dict[str, object], reason: str
) -> None:
    lines = [{"caption": "first"}, record, {"caption": "last"}]
    path = write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, lines)))

    found = read(path)

    assert [reason in one for one in found.reasons] == [True]
    assert {"first", "last"} <= set(found.words)


def test_a_reason_with_half_of_a_surrogate_pair_can_be_kept(tmp_path: Path) -> None:
    found = read(write(tmp_path / "x.jsonl", '{"image": "\\ud800.jpg", "caption": "a"}'))

    assert [reason.encode() for reason in found.reasons]

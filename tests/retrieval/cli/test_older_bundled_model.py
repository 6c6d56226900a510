"""A collection that an earlier release's ``mini`` filled: what is said of it, and that it moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import indexer
import retrieval
from retrieval.shell import shell_command
from retrieval.testing import HashEncoder
from tests.command_line import fill_photos, vlsearch

MINI_6 = "f10d6894dac7ef1ae5ef56dbd06d1ee98e8f8af563a96ca366db6498592637d0"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """Three photographs with captions, under the identity that mini-6 had."""
    encoder, mini = HashEncoder(dimension=512), retrieval.load_encoder("mini").identity
    preprocessing = mini.preprocessing.replace('"size": 256', '"size": 192')
    encoder.identity = replace(mini, weights=MINI_6, revision="mini-6", preprocessing=preprocessing)
    indexer.build(fill_photos(tmp_path / "photos"), tmp_path / "older", model=encoder)
    return tmp_path / "older"


@pytest.mark.parametrize(
    "command",
    [["query", "something red"], ["index", "photos"], ["index", "photos", "--model", "mini"]],
)
def test_whatever_encodes_says_in_one_sentence_how_to_move_from_mini_6(
    older: Path, command: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(older.parent)

    result = vlsearch(*command, "--collection", older)

    assert result.exit_code == 1
    [sentence] = [line for line in result.stderr.splitlines() if "holds vectors of mini as it was" in line]
    assert "mini-6" in sentence
    assert shell_command("reindex", "--model", "mini", "--collection", older) in sentence


def test_a_collection_of_mini_6_moves_with_what_that_sentence_says(older: Path) -> None:
    moved = vlsearch("reindex", "--model", "mini", "--collection", older)

    assert moved.exit_code == 0, moved.stderr
    found = vlsearch("query", "something red", "--collection", older)
    assert found.exit_code == 0, found.stderr
    with retrieval.Collection.open(older) as collection:
        assert collection.identity is not None
        assert collection.identity.digest == retrieval.load_encoder("mini").identity.digest

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

WEIGHTS = {
    "mini-6": "f10d6894dac7ef1ae5ef56dbd06d1ee98e8f8af563a96ca366db6498592637d0",
    "mini-7": "2340c226af4338ab57e5e709f37f8049776a49b39d722c93df7ab1423bfc110a",
}
SIZES = {"mini-6": 192, "mini-7": 256}


@pytest.fixture(params=WEIGHTS)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def older(revision: str, tmp_path: Path) -> Path:
    """Three photographs with captions, under the identity that an earlier mini had."""
    encoder, mini = HashEncoder(dimension=512), retrieval.load_encoder("mini").identity
    preprocessing = mini.preprocessing.replace('"size": 256', f'"size": {SIZES[revision]}')
    encoder.identity = replace(
        mini, weights=WEIGHTS[revision], revision=revision, preprocessing=preprocessing
    )
    indexer.build(fill_photos(tmp_path / "photos"), tmp_path / "older", model=encoder)
    return tmp_path / "older"


@pytest.mark.parametrize(
    "command",
    [["query", "something red"], ["index", "photos"], ["index", "photos", "--model", "mini"]],
)
def test_whatever_encodes_says_in_one_sentence_how_to_move_from_an_earlier_mini(
    older: Path, revision: str, command: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(older.parent)

    result = vlsearch(*command, "--collection", older)

    assert result.exit_code == 1
    [sentence] = [line for line in result.stderr.splitlines() if "holds vectors of mini as it was" in line]
    assert revision in sentence
    assert shell_command("reindex", "--model", "mini", "--collection", older) in sentence


def test_a_collection_of_an_earlier_mini_moves_with_what_that_sentence_says(older: Path) -> None:
    moved = vlsearch("reindex", "--model", "mini", "--collection", older)

    assert moved.exit_code == 0, moved.stderr
    found = vlsearch("query", "something red", "--collection", older)
    assert found.exit_code == 0, found.stderr
    with retrieval.Collection.open(older) as collection:
        assert collection.identity is not None
        assert collection.identity.digest == retrieval.load_encoder("mini").identity.digest

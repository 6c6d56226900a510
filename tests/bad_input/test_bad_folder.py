"""A folder of every kind of bad input, indexed as a user would: each file with the outcome it got."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from retrieval.uris import file_uri
from tests.bad_input.kinds import IGNORED, KINDS, TAKEN, Kind
from tests.command_line import Run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="names that are not UTF-8, pipes and /proc/self/mem are Linux's"
)

REFUSED = [kind for kind in KINDS if kind.outcome not in (TAKEN, IGNORED)]


@dataclass(frozen=True)
class Indexed:
    """The folder, the collection it went into, and what each of its names became."""

    folder: Path
    collection: Path
    run: subprocess.CompletedProcess[str]
    taken: set[str]
    reasons: dict[str, str]

    def outcome(self, name: str) -> str:
        uri = file_uri(self.folder / name)
        return TAKEN if uri in self.taken else self.reasons.get(uri, IGNORED)


def vlsearch(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, so that what C libraries or threads write is seen too."""
    return subprocess.run(
        [sys.executable, "-m", "retrieval.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,  # a hang would be a fault; the run itself takes seconds
    )


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, model: Path, run: Run) -> Indexed:
    place = tmp_path_factory.mktemp("bad")
    folder, collection = place / "folder", place / "collection"
    folder.mkdir()
    for kind in KINDS:
        kind.make(folder / kind.name)
    done = vlsearch("index", folder, "--model", model, "--collection", collection)
    hits = run("query", "a", "--find", "image", "-k", "1000", "--json", "--collection", collection)
    failures = run("info", "--failures", "--json", "--collection", collection)
    return Indexed(
        folder,
        collection,
        done,
        {json.loads(line)["uri"] for line in hits.stdout.splitlines()},
        {(fact := json.loads(line))["uri"]: fact["reason"] for line in failures.stdout.splitlines()},
    )


@pytest.mark.parametrize("kind", KINDS, ids=[ascii(kind.name)[1:40] for kind in KINDS])
def test_a_bad_file_has_its_outcome(kind: Kind, indexed: Indexed) -> None:
    outcome = indexed.outcome(kind.name)

    assert kind.outcome in outcome
    assert "\n" not in outcome
    assert "Traceback" not in outcome


def test_a_folder_of_bad_input_is_indexed_to_its_end_without_a_traceback(indexed: Indexed) -> None:
    # one more in the folder named folder.jpg, and the second page of pages.tiff
    taken = sum(kind.outcome == TAKEN for kind in KINDS) + 2
    said = indexed.run.stdout + indexed.run.stderr

    assert indexed.run.returncode == 0, said
    assert "Traceback" not in said
    assert "Warning" not in said
    assert "\x1b" not in said
    assert f"{taken} images" in indexed.run.stdout
    assert f"{len(indexed.reasons)} failed" in indexed.run.stdout


def test_bad_captions_cost_their_pictures_nothing_and_are_failures_of_their_own(indexed: Indexed) -> None:
    reasons = {uri.rpartition("/")[2]: reason for uri, reason in indexed.reasons.items() if "caption-" in uri}

    assert reasons == {
        "caption-is-a-pipe.txt": "is not a regular file",
        "caption-is-huge.txt": "is longer than 1,048,576 bytes, too long for captions of one picture",
        "caption-is-latin-1.txt#L1": "byte 4 of the line (0xe9) is not UTF-8",
    }


def test_nothing_in_a_nested_collection_is_touched(indexed: Indexed) -> None:
    assert indexed.outcome("collection/inside.jpg") == IGNORED
    assert sorted(path.name for path in (indexed.folder / "collection").iterdir()) == [
        "catalogue.sqlite",
        "inside.jpg",
    ]


def test_a_second_run_encodes_nothing_and_fails_alike(indexed: Indexed, run: Run) -> None:
    counts = json.loads(run("index", indexed.folder, "--json", "--collection", indexed.collection).stdout)

    assert counts["encoded"] == 0
    assert counts["failed"] == len(indexed.reasons)
    assert run("doctor", "--collection", indexed.collection).exit_code == 0


def test_a_file_that_is_mended_is_taken_by_the_next_run(indexed: Indexed, run: Run) -> None:
    mended = indexed.folder / "empty.jpg"
    mended.write_bytes((indexed.folder / "plain.jpg").read_bytes())

    counts = json.loads(run("index", indexed.folder, "--json", "--collection", indexed.collection).stdout)

    mended.write_bytes(b"")
    assert counts["failed"] == len(indexed.reasons) - 1


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.outcome not in (TAKEN, IGNORED)], ids=lambda kind: kind.name
)
def test_a_query_by_a_bad_file_is_an_error_of_one_sentence(kind: Kind, indexed: Indexed, run: Run) -> None:
    done = run("query", indexed.folder / kind.name, "--collection", indexed.collection)

    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1

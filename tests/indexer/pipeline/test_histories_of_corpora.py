"""Whatever happened to files between runs, a run over them leaves what a first run would have made of them."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import indexer
from retrieval.collection import Collection
from retrieval.testing import HashEncoder
from retrieval.types import KINDS, Kind
from tests.builders import draw, unit_rows
from tests.indexer.conftest import NEVER_BY_THE_CLOCK

NAMES = st.sampled_from(["a", "b", "sub/a", "sub/c"])
COLOURS = st.sampled_from([(255, 0, 0), (0, 255, 0), (0, 0, 255)])
WORDS = st.sampled_from(["one\n", "one\ntwo\n", "two\none\n", " \n", "three"])


@dataclass(frozen=True)
class Step:
    """Something that happens to the files, or a run over them."""

    what: str
    name: str = "a"
    other: str = "b"
    colour: tuple[int, int, int] = (0, 0, 0)
    words: str = ""
    rows: tuple[tuple[str, str], ...] = ()


STEPS: SearchStrategy[Step] = st.one_of(
    st.builds(Step, st.just("draw"), NAMES, colour=COLOURS),
    st.builds(Step, st.just("draw"), NAMES, colour=COLOURS),
    st.builds(Step, st.just("caption"), NAMES, words=WORDS),
    st.builds(Step, st.just("remove"), NAMES),
    st.builds(Step, st.just("rename"), NAMES, NAMES),
    st.builds(Step, st.just("damage"), NAMES),
    st.builds(
        Step, st.just("table"), rows=st.lists(st.tuples(NAMES, WORDS), max_size=4, unique=True).map(tuple)
    ),
    st.builds(Step, st.just("run")),
    st.builds(Step, st.just("prune")),
)
Items = dict[str, tuple[Kind, str | None, tuple[str, ...]]]
Ranking = list[tuple[float, str]]


class Files:
    """A folder of pictures with captions beside them, and a table of further captions of the same pictures."""

    def __init__(self, root: Path) -> None:
        self.folder, self.table = root / "photos", root / "captions.csv"
        self.folder.mkdir()
        self.clock = 10**18
        self.write_table(())

    def take(self, step: Step) -> None:
        image = self.folder / f"{step.name}.png"
        match step.what:
            case "draw":
                self.touch(draw(image, step.colour))
            case "caption":
                image.parent.mkdir(exist_ok=True)
                image.with_suffix(".txt").write_text(step.words)
                self.touch(image.with_suffix(".txt"))
            case "remove":
                image.unlink(missing_ok=True)
            case "rename" if image.exists():
                target = self.folder / f"{step.other}.png"
                target.parent.mkdir(exist_ok=True)
                image.replace(target)
            case "damage" if image.exists():
                image.write_bytes(b"overwritten by mistake")
                self.touch(image)
            case "table":
                self.write_table(step.rows)

    def write_table(self, rows: Sequence[tuple[str, str]]) -> None:
        with self.table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "caption"])
            writer.writerows((f"photos/{name}.png", words) for name, words in (("kept", "kept"), *rows))
        self.touch(self.table)

    def of_missing_pictures(self) -> set[str]:
        """Captions of the table whose pictures are not where it says."""
        with self.table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {row["caption"].strip() for row in rows if not (self.table.parent / row["image"]).exists()}

    def touch(self, path: Path) -> None:
        """Every change has a time of its own, as changes by people have."""
        self.clock += 10**9
        os.utime(path, ns=(self.clock, self.clock))

    def index(self, collection: Path, prune: bool) -> list[indexer.Report]:
        return [
            indexer.build(
                source, collection, model=HashEncoder(), workers=1, prune=prune, pace=NEVER_BY_THE_CLOCK
            )
            for source in (self.folder, self.table)
        ]


def contents(collection: Path) -> tuple[Items, list[Ranking], set[str]]:
    """Items by uri with their texts and captions, what a query finds of each kind, and what failed."""
    with Collection.open(collection) as opened:
        items = {
            item.uri: (item.kind, item.text, tuple(sorted(caption.text for caption in item.captions)))
            for item in opened.items(range(1, 500))
        }
        hits = [
            opened.search(unit_rows(1, seed=3), kind, 100)[0] if opened.has(kind) else [] for kind in KINDS
        ]
        rankings = [sorted((-hit.score, hit.uri) for hit in of_kind) for of_kind in hits]
        return items, rankings, {failure.uri for failure in opened.failures()}


def ids(collection: Path) -> dict[str, int]:
    with Collection.open(collection) as opened:
        return {item.uri: item.id for item in opened.items(range(1, 500))}


def check_history(steps: Sequence[Step]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        files, collection = Files(root), root / "collection"
        files.take(Step("draw", "kept", colour=(9, 9, 9)))
        for step in steps:
            if step.what in ("run", "prune"):
                files.index(collection, prune=step.what == "prune")
            else:
                files.take(step)
        files.index(collection, prune=False)
        before = ids(collection)

        files.index(collection, prune=True)
        files.index(collection, prune=True)  # what the first source lost may have been kept for the second

        files.index(root / "fresh", prune=False)
        assert_same(contents(collection), contents(root / "fresh"), files)
        after = ids(collection)
        assert {uri: number for uri, number in before.items() if uri in after} == after
        assert all(report.encoded == 0 for report in files.index(collection, prune=False))
        assert indexer.doctor(collection).faults == ()


def assert_same(
    found: tuple[Items, list[Ranking], set[str]], fresh: tuple[Items, list[Ranking], set[str]], files: Files
) -> None:
    """All is as in a fresh collection, but for two things that a run keeps.

    A picture that was read once and is damaged now stays as it was. A picture that has moved keeps captions of a table
    that still names its old place.
    """
    damaged = {uri for uri in fresh[2] if uri.endswith(".png") and Path(uri.removeprefix("file://")).exists()}
    for uri in damaged:
        found[0].pop(uri, None)
    for uri, (_, _, captions) in fresh[0].items():
        kept = [caption for caption in found[0][uri][2] if caption in files.of_missing_pictures()]
        assert {*captions} <= {*found[0][uri][2]} <= {*captions, *kept}
        found[0][uri] = (*found[0][uri][:2], captions)
    assert found[0] == fresh[0]
    assert found[2] == fresh[2]
    sound = [[pair for pair in ranking if pair[1] not in damaged] for ranking in found[1]]
    assert sound == fresh[1]


@settings(max_examples=6)
@given(st.lists(STEPS, min_size=3, max_size=14))
def test_after_any_history_a_run_that_prunes_leaves_what_a_first_run_makes(steps: list[Step]) -> None:
    check_history(steps)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(STEPS, min_size=8, max_size=40))
def test_after_any_long_history_a_run_that_prunes_leaves_what_a_first_run_makes(steps: list[Step]) -> None:
    check_history(steps)


def test_a_picture_that_has_moved_keeps_captions_of_a_table_that_names_its_old_place() -> None:
    check_history(
        [Step("draw"), Step("table", rows=(("a", "one"),)), Step("run"), Step("rename", other="sub/a")]
    )

"""What is staged for a commit: contents once each, when the commit is due, and batches that do not depend on either."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

import indexer
from indexer.pipeline.pace import CommitPace
from indexer.pipeline.staging import Staged
from indexer.store.changes import NewContent, NewFailure, NewItem
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import UsageError
from tests.builders import HashEncoder, unit_rows

NEVER = CommitPace(2**40, 2**40, 2**40, math.inf)


def image(number: int) -> PreparedImage:
    return PreparedImage(bytes([number]) * 32, np.full((8, 8, 3), number, np.uint8), 8, 8)


def item(uri: str) -> NewItem:
    return NewItem(uri, "text", bytes(32), corpus_id=1)


def test_a_content_is_staged_once_whether_it_waits_for_its_vector_or_has_it() -> None:
    staged, encoder = Staged(), HashEncoder()

    for _ in range(2):
        staged.add_image(image(1), encoder)
        staged.add_text(bytes(32), "words", encoder)
        staged.add_vector(NewContent("text", b"x" * 32, unit_rows(1)[0], "other words"))
    assert (staged.contents, staged.waiting) == (3, True)

    staged.encode_rest(encoder)
    assert (staged.contents, staged.waiting) == (3, False)
    assert staged.change.contents.keys() == {
        ("image", image(1).digest),
        ("text", bytes(32)),
        ("text", b"x" * 32),
    }


def test_an_image_that_was_not_wanted_stages_nothing() -> None:
    staged = Staged()

    staged.add_image(PreparedImage(bytes(32)), HashEncoder())

    assert not staged.contents
    assert not staged.change


@pytest.mark.parametrize(
    ("pace", "due_after"),
    [
        (CommitPace(contents=3, seconds=math.inf), 3),
        (CommitPace(rows=2, seconds=math.inf), 2),
        (CommitPace(characters=40, seconds=math.inf), 4),
        (CommitPace(seconds=1e-9), 1),
        (NEVER, None),
    ],
)
def test_a_commit_is_due_when_the_first_part_of_its_pace_is_reached(
    pace: CommitPace, due_after: int | None
) -> None:
    staged, encoder = Staged(), HashEncoder()
    due: list[int] = []

    for number in range(1, 6):
        staged.add_text(bytes([number]) * 32, f"words {number}", encoder)
        staged.add_item(item(f"x:{number}"))
        staged.characters += 10
        if staged.is_due(pace):
            due.append(number)

    assert due == ([] if due_after is None else list(range(due_after, 6)))


def test_links_and_failures_make_a_commit_due_as_items_do() -> None:
    pace = CommitPace(rows=2, seconds=math.inf)
    linked, failed = Staged(), Staged()
    for number in range(2):
        assert not linked.is_due(pace)
        assert not failed.is_due(pace)
        linked.add_link(f"x:{number}", "x:text", 1)
        failed.add_failure(NewFailure(f"x:{number}", "is broken", 1))

    assert linked.is_due(pace)
    assert failed.is_due(pace)


def test_every_batch_has_the_size_that_indexing_has() -> None:
    class Recording(HashEncoder):
        sizes: list[int | None]

        def encode_prepared(
            self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
        ) -> NDArray[np.float32]:
            self.sizes.append(batch_size)
            return super().encode_prepared(prepared, batch_size)

    encoder, staged = Recording(), Staged()
    encoder.sizes = []
    for number in range(70):
        staged.add_image(image(number), encoder)
    staged.encode_rest(encoder)

    assert encoder.sizes == [32, 32]  # two batches in one call, and the rest


def test_an_item_that_is_staged_again_is_a_rename_only_if_it_still_may_be_one() -> None:
    staged = Staged()
    staged.add_item(item("x:a"), may_be_renamed=True)
    staged.add_item(item("x:b"), may_be_renamed=True)

    staged.add_item(item("x:a"))

    assert staged.may_be_renamed == {"x:b"}


@pytest.mark.parametrize(
    "numbers",
    [
        {"contents": 0},
        {"rows": 0},
        {"characters": -1},
        {"merge_after": 0},
        {"seconds": 0.0},
        {"seconds": math.nan},
    ],
)
def test_a_pace_that_never_commits_or_always_does_is_refused(numbers: dict[str, int | float]) -> None:
    with pytest.raises(UsageError, match=next(iter(numbers))):
        indexer.CommitPace(**numbers)  # type: ignore[arg-type]

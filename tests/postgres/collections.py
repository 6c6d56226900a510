"""Collections with everything in them that a copy must keep, and what two collections answer."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import pytest
from hypothesis import strategies as st

import indexer
from indexer.staged_texts import StagedTexts
from indexer.store import rows
from indexer.store.changes import Change, NewContent, NewFailure, NewImageText, NewItem
from indexer.store.writer import Writer
from indexer.store.writers import open_place
from indexer.stored_images import StoredContents
from retrieval.analysis import name_probabilities
from retrieval.analysis.tag_probabilities import softmax_shares
from retrieval.collection import Collection, schema
from retrieval.collection.albums import Album, AlbumPart
from retrieval.errors import AlbumTaken, NoSuchAlbum, UsageError
from retrieval.expressions import Expression, field
from retrieval.places import CollectionPlace
from retrieval.types import KINDS, Request
from retrieval.uris import file_uri
from tests.builders import IDENTITY, HashEncoder, image_change, unit_rows

QUERIES = unit_rows(3, seed=41)
Step = tuple[str, int]
ALBUMS = ("save", "rename", "drop")
METADATA = ("tag", "untag", "caption", "keep", "forget", "move")
NAMES = (
    *("add", "copy", "text", "change", "file", "delete", "hide", "unhide", "reindex", "optimize", "kill"),
    *ALBUMS,
    *METADATA,
)
WORDS = ("dog", "cat", "red", "sky", "words")
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 9)), min_size=1, max_size=14
)


P = TypeVar("P", bound=CollectionPlace)


class _Killed(BaseException):
    """What ends a commit in the middle."""


def play(place: P, steps: list[Step]) -> P:
    """Make a collection by a history of single items: add, change, delete, hide, encode again, die in a commit."""
    encoder = HashEncoder()
    with indexer.open_writer(place, model=encoder) as writer:
        writer.upsert("p0", None, vector=unit_rows(1, seed=100)[0], attributes={"n": 1})
    for number, (name, which) in enumerate(steps):
        if name == "reindex":
            encoder = HashEncoder(weights=f"{number:064x}")
            indexer.reindex(place, encoder, skip_unreadable=True)
        elif name == "kill":
            with pytest.raises(_Killed), patch.object(rows, "mask_and_unmask", side_effect=_Killed):
                _play(place, encoder, "change", which, number)
        else:
            _play(place, encoder, name, which, number)
    return place


def _play(place: CollectionPlace, encoder: HashEncoder, name: str, which: int, number: int) -> None:
    if name in ("add", "copy", "text", "change"):
        with indexer.open_writer(place, model=encoder) as writer:
            if name == "text":
                writer.upsert(f"t{which}", f"words {number % 4}", describes=["p0"], lang="en")
            else:
                seed = 100 if name == "copy" else 200 + (number if name == "change" else which)
                writer.upsert(f"p{which}", None, vector=unit_rows(1, seed=seed)[0], attributes={"n": number})
    elif name == "delete" and which:
        indexer.delete(place, [f"p{which}"])
    elif name == "hide":
        indexer.hide(place, [f"p{which}", f"t{which}"])
    elif name == "unhide":
        indexer.unhide(place, [f"p{which}"])
    elif name == "optimize" and isinstance(place, Path):
        indexer.optimize(place)
    elif name in ALBUMS:
        with suppress(NoSuchAlbum, AlbumTaken):
            _change_albums(place, name, which, number)
    elif name == "file":
        _list_file(place, encoder, which, number)
    elif name in METADATA:
        with suppress(UsageError):  # of names that mean no picture, or several; of places where nothing lies
            _change_metadata(place, encoder, name, which, number)


def _change_albums(place: CollectionPlace, name: str, which: int, number: int) -> None:
    if name == "save":
        part = AlbumPart(key=f"p{which}") if which % 2 else AlbumPart(text=f"words {number}")
        indexer.save_album(place, Album(f"a{which % 3}", (part,), Request()), replace=which > 2)
    elif name == "rename":
        indexer.rename_album(place, f"a{which % 3}", f"a{3 + which}")
    else:
        indexer.delete_album(place, f"a{which % 3}")


def _list_file(place: CollectionPlace, encoder: HashEncoder, which: int, number: int) -> None:
    """Add a picture that is listed as a file of one of two folders, and a failure and a hidden uri beside it.

    These two have the same names in both folders, so that they meet when files are moved.
    """
    folder = _folders()[which % 2]
    uri = file_uri(folder / f"{which // 2}.png")
    with open_place(place) as writer:
        source = writer.ensure_corpus(file_uri(folder if which > 6 else _folders()[0].parent), "folder")
        digest = bytes([50 + which, number]) * 16  # a content that nothing has
        vector = unit_rows(1, seed=300 + which)[0]
        change = Change(hidden=[file_uri(folder / "secret.png")])
        change.contents["image", digest] = NewContent("image", digest, vector)
        change.items[uri] = NewItem(uri, "image", digest, source, attributes={"n": number})
        broken = file_uri(folder / "broken.png")
        change.failures[broken] = NewFailure(broken, f"cut short {number}", source)
        writer.commit(change, encoder.identity)


@cache
def _folders() -> tuple[Path, Path]:
    """Two folders in which files of the same names lie, that are never read."""
    kept = tempfile.TemporaryDirectory(prefix="vlsearch-moved-")
    atexit.register(kept.cleanup)
    folders = Path(kept.name) / "a", Path(kept.name) / "a" / "b"
    for folder in folders:
        folder.mkdir()
        for number in range(5):
            (folder / f"{number}.png").touch()
    return folders


def _change_metadata(
    place: CollectionPlace, encoder: HashEncoder, name: str, which: int, number: int
) -> None:
    if name == "tag":
        names = WORDS[which % 3 :][:3]
        where = "n < 5" if which > 6 else None
        with patch.object(name_probabilities, "softmax_shares", _shares_without_others):
            indexer.tag(place, vocabulary=names, model=encoder, min_probability=0.2, where=where)
    elif name == "untag":
        indexer.untag(place, where="tags contains dog" if which % 2 else None)
    elif name == "caption":
        with open_place(place) as writer:
            staged = StagedTexts(writer, "written", f"maker {which % 2}")
            for content in islice(StoredContents(writer, schema.contents.c.kind == "image"), which):
                staged.add(content.sha256, f"{WORDS[number % 5]} {content.id}" if which % 4 else "")
            staged.commit()
    elif name == "move":
        old, new = _folders() if which % 2 else _folders()[::-1]
        indexer.relocate(place, old, new)
    else:
        kept: Callable[..., int] = indexer.keep if name == "keep" else indexer.forget_kept
        kept(place, ["p0", f"p{which}"])


def _shares_without_others(names: Any, others: Any, images: Any) -> Any:
    """Compare names among themselves: bundled ones would be likelier for most of these pictures."""
    return softmax_shares(names, others[:0], images)


def full_collection(path: Path) -> Path:
    """A collection with copies, captions, hidden items, failures, other texts, dead rows and Unicode."""
    play(path, [("add", 1), ("add", 2), ("copy", 3), ("text", 1), ("text", 2), ("change", 2), ("hide", 1)])
    with Writer(path) as writer:
        source = writer.ensure_corpus("test:", "test")
        change = image_change(source, ["a", "ünï 雪\u2028", "b=a"], unit_rows(3, seed=5))
        digest = change.items["test:a"].sha256
        change.texts[digest, "read"] = NewImageText("reader 1", "STOP\nhere")
        change.failures["test:broken"] = NewFailure("test:broken", "cut short", source, "12:1")
        change.hidden.append("test:not there")
        writer.commit(change, writer.identity or IDENTITY)
        writer.commit_rows(Change(removed=[1]))
        writer.note_run(source, {"hidden file": 3}, None)
        writer.note_kept([digest])
    return path


Asked = Callable[[Collection], Any]


def answers(place: CollectionPlace, where: Expression | None = None) -> dict[str, Any]:
    """Everything that a reader is told of a collection, by question."""
    with Collection.open(place) as opened, opened.reading() as view:
        told: dict[str, Any] = {}
        for kind in KINDS:
            for request in (
                Request(k=5),
                Request(k=2, offset=1),
                Request(k=20, distinct=True),
                Request(k=4, min_score=0.1),
                *([] if where is None else [Request(k=5, where=where)]),
            ):
                told[f"{kind} {request}"] = view.search(QUERIES, kind, request)
            told[f"{kind} pages"] = list(view.pages(kind, 3))
            told[f"{kind} newest"] = view.newest(kind, 4)
            told[f"{kind} listed"] = view.listed(kind).tolist()
            told[f"{kind} count"] = view.count(kind), view.holds(kind), view.hidden_ids(kind)
            told[f"{kind} vectors"] = view.vectors_of_kind(kind).vectors.tobytes()
            told[f"{kind} sample"] = view.sample(kind)[0].tobytes(), view.sample(kind)[1]
            ids = [row.id for page in view.pages(kind) for row in page]
            told[f"{kind} links"] = view.links(kind, ids)
            told[f"{kind} words"] = [
                view.search_words(words, kind, any_word=any_word)
                for words in ("words", '"words 1"', "3 stop", "ünï 雪", "dog", "cat png")
                for any_word in (False, True)
            ]
            told[f"{kind} texts"] = view.image_texts(ids)
            told[f"{kind} by id"] = {
                number: one.vector is not None and one.vector.tobytes()
                for number, one in view.item_vectors(ids).items()
            }
        keys, _ = view.keys()
        told["keys"] = keys, {key: view.item(key) for key in keys}
        told["named"] = view.named("test:a"), view.named("no such")
        told["rest"] = view.hidden(), view.failures(), view.corpora(), view.albums()
        told["kept"] = set(view.kept_duplicates())  # which have no order
        fields = told["fields"] = view.fields()
        # when the clock of a test is read depends on the place; the probabilities of tags are listed as one
        names = [one.name for one in fields if one.name not in ("words", "indexed", "tag:NAME")]
        if "tags" in names:
            told["tagged"] = [view.where(kind, field("tags").contains("dog")).tolist() for kind in KINDS]
        told["facets"] = [view.facets(kind, names) for kind in KINDS]
        told["state"] = view.generation, view.identity
        facts = view.info()
        told["counts"] = (facts.images, facts.texts, facts.links, facts.failures, facts.sources, facts.hidden)
        told["notes"] = facts.left_out, facts.image_texts, facts.unencoded, facts.reads_text
        return told

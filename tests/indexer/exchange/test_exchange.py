"""Export and import: a round trip loses nothing, and folders that clip-retrieval wrote come in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from numpy.typing import NDArray

import indexer
from indexer.exchange import exporting, metadata_rows
from retrieval.collection import Collection
from retrieval.errors import CollectionError, CorpusFormatError, IdentityMismatch, UsageError
from retrieval.types import ORIGINS, Hit
from retrieval.uris import file_uri
from tests.builders import DIMENSION, HashEncoder, Index, draw, unit_rows


def everything(collection: Path, encoder: HashEncoder) -> list[list[tuple[object, ...]]]:
    """What two queries find, hits whole but for their ids."""
    with Collection.open(collection) as opened:
        query = encoder.encode_texts(["a red square"])
        hits = [opened.search(query, kind, 100)[0] if opened.has(kind) else [] for kind in ("image", "text")]
    return [
        sorted(
            (hit.uri, hit.score, hit.key, hit.text, hit.lang, str(hit.attributes), _words(hit))
            for hit in found
        )
        for found in hits
    ]


def _words(hit: Hit) -> tuple[str, ...]:
    return tuple(caption.text for caption in hit.captions)


@pytest.fixture
def filled(index: Index, photos: Path, collection: Path, encoder: HashEncoder, tmp_path: Path) -> Path:
    """Pictures with none, one and three captions, a text of no picture, a text of two, keys and attributes."""
    index(photos)
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("k1", draw(tmp_path / "one.png", (4, 4, 4)), attributes={"price": 7.5, "name": "höhe"})
        writer.add("k2", draw(tmp_path / "two.png", (5, 5, 5)))
        for number in range(3):
            writer.add(f"t{number}", f"caption {number}", describes=["k1"], lang="en")
        writer.add("both", "on both", describes=["k1", "k2"])
        writer.add("alone", "一只狗", lang="zh", attributes={"n": 1})
    return collection


def test_a_round_trip_keeps_items_links_attributes_and_the_bits_of_vectors(
    filled: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    exported = indexer.export_collection(filled, tmp_path / "out")
    imported = indexer.import_collection(tmp_path / "out", tmp_path / "back")

    assert everything(tmp_path / "back", encoder) == everything(filled, encoder)
    assert (exported.images, exported.texts, exported.left_out) == (5, 7, 0)
    assert imported == indexer.Imported(5, 7, 7, 0)
    assert indexer.doctor(tmp_path / "back") == indexer.Diagnosis((), ())


def test_the_three_files_of_every_partition_have_the_same_rows(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: HashEncoder
) -> None:
    monkeypatch.setattr(exporting, "PARTITION_ROWS", 3)
    exported = indexer.export_collection(filled, tmp_path / "out")

    rows = 0
    for metadata in sorted((tmp_path / "out/metadata").iterdir()):
        number = metadata.stem.removeprefix("metadata_")
        table = pyarrow.parquet.read_table(metadata).to_pylist()
        images = np.load(tmp_path / f"out/img_emb/img_emb_{number}.npy")
        texts = np.load(tmp_path / f"out/text_emb/text_emb_{number}.npy")
        assert images.dtype == texts.dtype == np.float32
        assert images.shape == texts.shape == (len(table), DIMENSION)
        for row, image, text in zip(table, images, texts, strict=True):
            assert bool(text.any()) == bool(row["caption"])
            assert image.any() or text.any()
            if image.any():
                assert Path(row["image_path"]).is_file()
            if text.any():
                assert (text == encoder.encode_texts([row["caption"]])[0]).all()
        rows += len(table)
    assert rows == exported.rows
    indexer.import_collection(tmp_path / "out", tmp_path / "back")
    assert everything(tmp_path / "back", encoder) == everything(filled, encoder)


def test_what_was_imported_is_not_encoded_again_when_its_corpus_is_indexed(
    filled: Path, photos: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    indexer.export_collection(filled, tmp_path / "out")
    indexer.import_collection(tmp_path / "out", tmp_path / "back")

    report = indexer.build(photos, tmp_path / "back", model=encoder)

    assert (report.encoded, report.unchanged) == (0, 5)


def test_importing_twice_changes_nothing(filled: Path, tmp_path: Path, encoder: HashEncoder) -> None:
    indexer.export_collection(filled, tmp_path / "out")
    indexer.import_collection(tmp_path / "out", tmp_path / "back")
    once = everything(tmp_path / "back", encoder)

    assert indexer.import_collection(tmp_path / "out", tmp_path / "back") == indexer.Imported(5, 7, 7, 0)
    assert everything(tmp_path / "back", encoder) == once


def test_items_without_a_vector_are_left_out_and_counted(filled: Path, tmp_path: Path) -> None:
    for path in (filled / "segments").glob("*.faiss"):
        path.unlink()
        break
    indexer.doctor(filled, repair=True)

    exported = indexer.export_collection(filled, tmp_path / "out")

    assert exported.left_out > 0
    assert exported.images + exported.texts + exported.left_out == 12


def test_an_export_never_goes_into_a_folder_that_holds_something(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    indexer.export_collection(filled, tmp_path / "out")

    with pytest.raises(UsageError, match="export into a new folder"):
        indexer.export_collection(filled, tmp_path / "out")


def test_an_export_that_fails_leaves_nothing_behind(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting._Export, "_flush", lambda self: (_ for _ in ()).throw(OSError("disk full")))

    with pytest.raises(OSError, match="disk full"):
        indexer.export_collection(filled, tmp_path / "sub/out")
    assert list((tmp_path / "sub").iterdir()) == []


def test_an_empty_collection_has_nothing_to_export(
    collection: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    with indexer.open_writer(collection, model=encoder):
        pass

    with pytest.raises(CollectionError, match="nothing to export"):
        indexer.export_collection(collection, tmp_path / "out")


def clip_retrieval_folder(
    folder: Path,
    images: NDArray[np.float32] | None = None,
    texts: NDArray[np.float32] | None = None,
    rows: list[dict[str, Any]] | None = None,
    name: str = "0",
) -> Path:
    """What ``clip-retrieval inference`` writes: float16 rows, and the metadata of its input."""
    for kind, array in (("img_emb", images), ("text_emb", texts)):
        if array is not None:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            np.save(folder / kind / f"{kind}_{name}.npy", array.astype(np.float16))
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(rows), folder / "metadata" / f"metadata_{name}.parquet"
    )
    return folder


def test_a_folder_of_clip_retrieval_comes_in_with_its_paths_captions_and_columns(
    tmp_path: Path, encoder: HashEncoder
) -> None:
    images, texts = unit_rows(3), unit_rows(3, seed=1)
    rows: list[dict[str, Any]] = [
        {"image_path": "/data/a.jpg", "caption": "a dog", "NSFW": 0.25},
        {"image_path": "00012", "caption": "a cat", "NSFW": 0.5},
        {"image_path": "/data/c.jpg", "caption": "", "NSFW": None},
    ]
    folder = clip_retrieval_folder(tmp_path / "in", images, texts, rows)

    assert indexer.import_collection(folder, tmp_path / "c", model=encoder) == indexer.Imported(3, 2, 2, 0)

    with Collection.open(tmp_path / "c") as opened:
        first = opened.search(images[:1], "image", 1)[0][0]
        second = opened.search(images[1:2], "image", 1)[0][0]
        text = opened.search(texts[:1], "text", 1)[0][0]
    assert first.uri == file_uri(Path("/data/a.jpg"))
    assert first.score == pytest.approx(1, abs=2e-3)  # float16 rows, brought to unit length
    assert (_words(first), first.attributes) == (("a dog",), {"NSFW": 0.25})
    assert second.uri.endswith("metadata_0.parquet#row%3D1")
    assert text.text == "a dog"


def test_captions_without_vectors_become_attributes(tmp_path: Path, encoder: HashEncoder) -> None:
    folder = clip_retrieval_folder(
        tmp_path / "in", unit_rows(1), None, [{"image_path": "/a.jpg", "caption": "a dog"}]
    )

    indexer.import_collection(folder, tmp_path / "c", model=encoder)

    with Collection.open(tmp_path / "c") as opened:
        assert opened.items([1])[0].attributes == {"caption": "a dog"}


def test_rows_without_a_usable_vector_are_failures(tmp_path: Path, encoder: HashEncoder) -> None:
    images = unit_rows(3)
    images[0], images[1, 0] = 0, np.nan
    rows = [{"image_path": f"/{number}.jpg", "caption": "x"} for number in range(3)]
    folder = clip_retrieval_folder(tmp_path / "in", images, None, rows)

    assert indexer.import_collection(folder, tmp_path / "c", model=encoder).failed == 2

    with Collection.open(tmp_path / "c") as opened:
        assert [failure.reason for failure in opened.failures()] == ["the row has no vector"] * 2


def test_a_folder_that_names_no_model_needs_one(tmp_path: Path) -> None:
    folder = clip_retrieval_folder(tmp_path / "in", unit_rows(1), None, [{"image_path": "/a.jpg"}])

    with pytest.raises(UsageError, match="--model"):
        indexer.import_collection(folder, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_vectors_of_another_model_or_length_are_refused(
    filled: Path, tmp_path: Path, other_encoder: HashEncoder
) -> None:
    folder = clip_retrieval_folder(tmp_path / "in", unit_rows(1, d=24), None, [{"image_path": "/a.jpg"}])
    with pytest.raises(CorpusFormatError, match=f"not rows of {DIMENSION} floats"):
        indexer.import_collection(folder, tmp_path / "c", model=other_encoder)

    indexer.export_collection(filled, tmp_path / "out")
    with pytest.raises(IdentityMismatch):
        indexer.import_collection(tmp_path / "out", filled, model=other_encoder)


def _cut_npy(folder: Path) -> None:
    path = next((folder / "img_emb").iterdir())
    path.write_bytes(path.read_bytes()[:200])


def _pickled_npy(folder: Path) -> None:
    np.save(next((folder / "img_emb").iterdir()), np.array([{"a": 1}] * 12), allow_pickle=True)


def _short_npy(folder: Path) -> None:
    path = next((folder / "text_emb").iterdir())
    np.save(path, np.load(path)[:2])


def _no_arrays(folder: Path) -> None:
    for path in folder.glob("*_emb/*.npy"):
        path.unlink()


def _bad_parquet(folder: Path) -> None:
    next((folder / "metadata").iterdir()).write_bytes(b"PAR1 but no more")


def _no_metadata(folder: Path) -> None:
    next((folder / "metadata").iterdir()).unlink()


def _bad_manifest(folder: Path) -> None:
    (folder / "vlsearch.json").write_text("{")


def _newer_manifest(folder: Path) -> None:
    (folder / "vlsearch.json").write_text(json.dumps({"version": 2, "identity": {}}))


def _alter(folder: Path, column: str, value: object) -> None:
    path = next((folder / "metadata").iterdir())
    rows = pyarrow.parquet.read_table(path).to_pylist()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row | {column: value} for row in rows]), path)


def _number_for_a_uri(folder: Path) -> None:
    _alter(folder, "image_uri", 7)


def _list_for_a_caption(folder: Path) -> None:
    _alter(folder, "caption", ["a"])


HOSTILE = [
    _number_for_a_uri,
    _list_for_a_caption,
    _cut_npy,
    _pickled_npy,
    _short_npy,
    _no_arrays,
    _bad_parquet,
    _no_metadata,
    _bad_manifest,
    _newer_manifest,
]


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_folder_that_is_damaged_is_refused_with_its_file_named(
    spoil: Callable[[Path], None], filled: Path, tmp_path: Path
) -> None:
    indexer.export_collection(filled, tmp_path / "out")
    spoil(tmp_path / "out")

    with pytest.raises(CorpusFormatError, match="out") as raised:
        indexer.import_collection(tmp_path / "out", tmp_path / "back")
    assert "pickle" not in str(raised.value)  # numpy advises to load them
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("hidden", [False, True])
def test_a_round_trip_keeps_which_duplicates_stay_and_that_text_is_read(
    filled: Path, photos: Path, tmp_path: Path, hidden: bool
) -> None:
    indexer.keep(filled, ["k1", "k2"])
    indexer.keep(filled, ["k1", str(photos / "red.png")])
    indexer.set_reads_text(filled, on=True)
    indexer.hide(filled, [str(photos / "red.png")])
    indexer.export_collection(filled, tmp_path / "out", hidden=hidden)
    indexer.import_collection(tmp_path / "out", tmp_path / "back")

    with (
        Collection.open(filled) as first,
        Collection.open(tmp_path / "back") as back,
        first.reading() as before,
        back.reading() as after,
    ):
        kept = set(after.kept_duplicates())
        assert kept <= set(before.kept_duplicates())
        assert len(kept) == (2 if hidden else 1)
    assert indexer.reads_text(tmp_path / "back")


@pytest.mark.parametrize(
    "change", [{"kept_duplicates": [["00"]]}, {"kept_duplicates": 5}, {"reads_text": "no"}]
)
def test_decisions_that_are_none_are_refused_and_an_older_export_has_none(
    filled: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    indexer.export_collection(filled, tmp_path / "out")
    manifest = tmp_path / "out/vlsearch.json"
    facts = json.loads(manifest.read_text())
    assert not facts.keys() & {"kept_duplicates", "reads_text"}
    indexer.import_collection(tmp_path / "out", tmp_path / "older")
    assert not indexer.reads_text(tmp_path / "older")

    manifest.write_text(json.dumps(facts | change))
    with pytest.raises(CorpusFormatError, match=r"kept_duplicates|reads_text"):
        indexer.import_collection(tmp_path / "out", tmp_path / "back")


def test_a_round_trip_keeps_the_longest_texts_and_attributes(
    collection: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    words, escaped = "x" * 2**20, "\x01" * 2**20
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("picture", None, vector=unit_rows(1)[0], attributes={"long": "a" * 2_000_000})
        writer.add("text", words, vector=unit_rows(2)[1], describes=["picture"])
        for origin in ORIGINS:
            writer.set_text("picture", escaped, origin=origin, maker="reader 1")
    indexer.export_collection(collection, tmp_path / "out")

    assert indexer.import_collection(tmp_path / "out", tmp_path / "back") == indexer.Imported(1, 1, 1, 0)
    with Collection.open(tmp_path / "back") as opened, opened.reading() as view:
        picture, text = view.item("picture"), view.item("text")
        assert picture is not None
        assert text is not None
        assert picture.attributes == {"long": "a" * 2_000_000}
        assert text.text == words
        assert [one.text for one in view.image_texts([picture.id])[picture.id]] == [escaped] * len(ORIGINS)
    assert indexer.doctor(tmp_path / "back") == indexer.Diagnosis((), ())


def test_the_long_rows_of_an_export_are_bounded_together(
    collection: Path, tmp_path: Path, encoder: HashEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        for number in range(3):
            attributes = {"long": "a" * 2**20}
            writer.add(f"k{number}", None, vector=unit_rows(3)[number], attributes=attributes)
    indexer.export_collection(collection, tmp_path / "out")
    monkeypatch.setattr(metadata_rows, "_FILE_BYTES", 5 * 2**19)

    assert indexer.import_collection(tmp_path / "out", tmp_path / "back").failed == 1

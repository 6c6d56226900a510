"""What a collection holds is asked with by its stored vector: nothing is encoded, and no model is loaded."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

import indexer
import retrieval
from retrieval import ImagePart, KeyPart, SearchEngine, TextPart
from retrieval.errors import IdentityMismatch, ModelError, QueryError, UnknownModel, UsageError
from retrieval.uris import file_uri
from tests.builders import Fill, HashEncoder, draw

COLOURS = {f"{number:02}.png": (number * 12, 255 - number * 9, number * 5) for number in range(9)}


@pytest.fixture
def filled(fill: Fill) -> Path:
    return fill(COLOURS, {"test:1": "a dog", "test:2": "a cat"})


@pytest.fixture
def engine(filled: Path) -> SearchEngine:
    """An engine that cannot load an encoder: the identity names no model."""
    return retrieval.open(filled)


def test_a_picture_that_the_collection_holds_finds_itself_with_score_one_and_loads_nothing(
    engine: SearchEngine, tmp_path: Path
) -> None:
    path = tmp_path / "03.png"
    with Image.open(path) as picture:
        assert picture.size == (8, 8)

    twice: list[retrieval.Queryable] = [path, ImagePart(path, 2)]
    for source in (path, path.read_bytes(), ImagePart(file_uri(path)), twice):
        hit = engine.search(source, find="image", k=1)[0]
        assert Path(hit.uri).name == "03.png"
        assert hit.score == pytest.approx(1, abs=1e-6)


def test_a_copy_under_another_name_is_known_by_its_bytes(engine: SearchEngine, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.jpg"
    copy.write_bytes((tmp_path / "03.png").read_bytes())

    assert engine.search(copy, find="image") == engine.search(tmp_path / "03.png", find="image")


def test_a_member_of_a_tar_is_known_by_its_bytes(engine: SearchEngine, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "03.png", "inside.png")
    member = ImagePart(file_uri(tmp_path / "a.tar", "inside.png"))

    assert engine.search(member, find="image") == engine.search(tmp_path / "03.png", find="image")


def test_a_text_that_the_collection_holds_is_known_by_its_normalised_words(engine: SearchEngine) -> None:
    assert engine.search("  a dog\n", find="text", k=1)[0].text == "a dog"
    assert engine.search(["a dog", TextPart("a cat", -0.5)], k=3)


def test_the_stored_vector_wins_over_a_new_encoding(tmp_path: Path, encoder: HashEncoder) -> None:
    given = encoder.encode_texts(["something else"])[0]
    with indexer.open_writer(tmp_path / "collection", model=encoder) as writer:
        writer.add("a", "a dog", vector=given)

    with retrieval.open(tmp_path / "collection", encoder=encoder) as engine:
        assert engine.search("a dog", find="text")[0].score == engine.search(key="a", find="text")[0].score
        assert engine.search("a dog", find="text")[0].score == pytest.approx(1, abs=1e-6)


def test_a_deleted_content_is_encoded_again_whether_compaction_came_or_not(
    filled: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    indexer.delete(filled, [str(tmp_path / "03.png")])

    with retrieval.open(filled, encoder=encoder) as engine:
        engine.search(tmp_path / "03.png", find="image")

    assert len(encoder.encoded) == 1


def test_what_the_collection_lacks_needs_its_model(engine: SearchEngine, tmp_path: Path) -> None:
    draw(tmp_path / "new.png", (1, 1, 2))

    for query in ("a horse", tmp_path / "new.png", ["a dog", "a horse"]):
        with pytest.raises((ModelError, UnknownModel)):
            engine.search(query)


def test_bytes_that_are_no_picture_are_refused_in_one_sentence(filled: Path, encoder: HashEncoder) -> None:
    with (
        retrieval.open(filled, encoder=encoder) as engine,
        pytest.raises(QueryError, match="cannot search for the picture given as bytes"),
    ):
        engine.search(b"no picture")


def test_another_model_is_refused_even_where_nothing_is_encoded(
    filled: Path, other_encoder: HashEncoder, tmp_path: Path
) -> None:
    with retrieval.open(filled, encoder=other_encoder) as engine, pytest.raises(IdentityMismatch):
        engine.search(tmp_path / "03.png")
    with retrieval.open(filled, encoder="mini") as engine, pytest.raises(IdentityMismatch):
        engine.search(tmp_path / "03.png")


def test_a_model_given_by_the_collections_own_name_is_not_loaded_for_what_is_held(
    filled: Path, tmp_path: Path
) -> None:
    with retrieval.open(filled, encoder="hash") as engine:
        assert engine.search(tmp_path / "03.png", find="image", k=1)[0].score == pytest.approx(1, abs=1e-6)


def test_such_a_query_imports_neither_torch_nor_pillow(filled: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "retrieval.cli", "query"]

    for part in (str(tmp_path / "03.png"), "a dog"):
        done = subprocess.run(
            [*command, part, "--find", "image", "--collection", str(filled), "-k", "1"],
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
        assert "numpy" in loaded  # the list is of what was imported
        assert loaded.isdisjoint({"torch", "torchvision", "transformers", "safetensors", "tokenizers", "PIL"})
        assert done.stdout.count("\n") == 1


@pytest.fixture
def shop(tmp_path: Path, encoder: HashEncoder) -> Path:
    """Two pictures and a title with keys, and a text without one."""
    with indexer.open_writer(tmp_path / "shop", model=encoder) as writer:
        for number in (2, 1):
            picture = io.BytesIO()
            Image.new("RGB", (8, 8), (number, 9, 9)).save(picture, "PNG")
            writer.add(f"sku-{number}", picture.getvalue(), attributes={"price": number})
        writer.add("sku-1/title", "a blue mug", describes=["sku-1"])
    encoder.encoded.clear()
    return tmp_path / "shop"


def test_an_item_is_searched_with_by_its_key_without_an_encoder(shop: Path) -> None:
    with retrieval.open(shop) as engine:
        like = engine.search(key="sku-1", find="image")
        assert like[0].key == "sku-1"
        assert len(like) == 2
        assert engine.search(KeyPart("sku-1"), find="image") == like
        assert engine.search_batch([KeyPart("sku-1"), "a blue mug"], find="image")[0] == like
        assert engine.search([KeyPart("sku-1"), KeyPart("sku-2", -0.5)], find="image")[0].key == "sku-1"


def test_the_key_of_a_picture_finds_texts_and_that_of_a_text_finds_pictures(shop: Path) -> None:
    with retrieval.open(shop) as engine:
        assert {hit.kind for hit in engine.search(key="sku-1")} == {"text"}
        assert {hit.kind for hit in engine.search(key="sku-1/title")} == {"image"}
        assert {hit.kind for hit in engine.search(retrieval.parse_query(["key:sku-1"]))} == {"text"}


def test_keys_that_are_not_there_or_hidden_are_refused_by_name(shop: Path) -> None:
    indexer.hide(shop, ["sku-2"])

    with retrieval.open(shop) as engine:
        for key in ("sku-9", "sku-2"):
            with pytest.raises(QueryError, match=f"the key '{key}'"):
                engine.search(key=key)
        with pytest.raises(QueryError, match=r"^query 2: "):
            engine.search_batch([KeyPart("sku-1"), KeyPart("sku-9")])
        with pytest.raises(UsageError, match="one of the two"):
            engine.search()
        with pytest.raises(UsageError, match="one of the two"):
            engine.search("a", key="b")
    for wrong_key in ("", "\ud800"):
        with pytest.raises(QueryError, match="is not a key"):
            KeyPart(wrong_key)


def test_an_item_is_read_by_its_key_and_keys_come_in_the_order_of_addition(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.collection.view.PAGE_ITEMS", 2)

    with retrieval.open(shop) as engine:
        item = engine.get("sku-1")
        assert item is not None
        assert (item.kind, item.attributes, [text.text for text in item.captions]) == (
            "image",
            {"price": 1},
            ["a blue mug"],
        )
        assert engine.get("sku-9") is None
        assert list(engine.keys()) == ["sku-2", "sku-1", "sku-1/title"]
        indexer.hide(shop, ["sku-2", "sku-1/title"])
        assert list(engine.keys()) == ["sku-1"]
        assert engine.get("sku-2") is None
        assert engine.get("sku-1").captions == ()  # type: ignore[union-attr]


def test_an_item_without_a_vector_cannot_be_asked_with(shop: Path) -> None:
    for path in (shop / "segments").iterdir():
        path.unlink()
    indexer.doctor(shop, repair=True)

    with retrieval.open(shop) as engine, pytest.raises(QueryError, match="has no vector"):
        engine.search(key="sku-1")

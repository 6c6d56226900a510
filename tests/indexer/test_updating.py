"""Indexing again what a collection was made from, without naming it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexer
from retrieval.collection import Collection, KnownCorpus
from retrieval.corpora import CorpusOptions, CorpusSpec, parse_caption_column
from retrieval.errors import UsageError
from tests.builders import HashEncoder, draw, uris
from tests.command_line import vlsearch


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name, colour in (("a/red", (200, 0, 0)), ("a/draft", (0, 0, 0)), ("b/green", (0, 200, 0))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        draw(tmp_path / f"{name}.png", colour)
    return tmp_path / "a", tmp_path / "b"


@pytest.fixture
def collection(folders: tuple[Path, Path], tmp_path: Path) -> Path:
    encoder = HashEncoder()
    indexer.build(folders[0], tmp_path / "c", model=encoder, options=CorpusOptions(exclude=("draft*",)))
    indexer.build(folders[1], tmp_path / "c", model=encoder)
    return tmp_path / "c"


def corpora(collection: Path) -> list[KnownCorpus]:
    with Collection.open(collection) as opened:
        return opened.corpora()


def test_a_collection_knows_its_corpora(collection: Path, folders: tuple[Path, Path]) -> None:
    first, second = corpora(collection)

    assert (first.images, first.texts, first.failures, dict(first.left_out)) == (
        1,
        0,
        0,
        {"excluded file": 1},
    )
    assert first.spec == CorpusSpec(str(folders[0]), CorpusOptions(exclude=("draft*",)))
    assert second.spec == CorpusSpec(str(folders[1]), CorpusOptions())
    assert first.read is not None


def test_all_corpora_are_indexed_again_as_they_were_before(
    collection: Path, folders: tuple[Path, Path]
) -> None:
    draw(folders[0] / "blue.png", (0, 0, 200))
    draw(folders[0] / "draft2.png", (1, 1, 1))
    (folders[1] / "green.png").rename(folders[1] / "leaf.png")

    done = list(indexer.update(collection, model=HashEncoder(), prune=True))

    assert [one.error for one in done] == [None, None]
    assert set(uris(collection)) == {"red.png", "blue.png", "leaf.png"}


def test_a_corpus_whose_drive_is_missing_costs_the_others_nothing(
    collection: Path, folders: tuple[Path, Path]
) -> None:
    folders[0].rename(folders[0].with_name("unplugged"))
    draw(folders[1] / "blue.png", (0, 0, 200))

    missing, other = indexer.update(collection, model=HashEncoder(), prune=True)

    assert missing.report is None
    assert "there is no such file or folder" in str(missing.error)
    assert other.report is not None
    assert set(uris(collection)) == {"red.png", "green.png", "blue.png"}


def test_a_relative_name_is_found_again_from_anywhere(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders[0])
    indexer.build(".", tmp_path / "c", model=HashEncoder())
    monkeypatch.chdir(tmp_path)

    (done,) = indexer.update("c", model=HashEncoder())

    assert done.report is not None
    assert done.report.unchanged == 2


def test_the_command_line_updates_and_lists_corpora(folders: tuple[Path, Path], tmp_path: Path) -> None:
    collection = tmp_path / "c"
    vlsearch("index", folders[0], "--collection", collection, "--quiet")

    done = vlsearch("index", "--collection", collection)
    listed = vlsearch("info", "--corpora", "--collection", collection)
    facts = json.loads(vlsearch("info", "--corpora", "--json", "--collection", collection).stdout)

    assert done.exit_code == 0, done.stderr
    assert "0 encoded, 2 unchanged, 0 failed" in done.stdout
    assert "2 images, 0 texts" in listed.stdout
    assert facts["spec"] == {"source": str(folders[0]), "options": {}}


def test_options_without_a_corpus_and_collections_without_corpora_are_refused(tmp_path: Path) -> None:
    with indexer.open_writer(tmp_path / "c", model=HashEncoder()) as writer:
        writer.add("k", "a text")

    refused = vlsearch("index", "--lang", "en", "--collection", tmp_path / "c")

    assert refused.exit_code == 2
    assert "options of how a corpus is read need a CORPUS" in refused.stderr
    with pytest.raises(UsageError, match="index each once more by its name"):
        list(indexer.update(tmp_path / "c", model=HashEncoder()))


_OPTIONS = st.builds(
    CorpusOptions,
    format=st.none() | st.text(),
    image_column=st.none() | st.text(),
    caption_columns=st.lists(st.sampled_from(["a", "b:en", "c:zh"]).map(parse_caption_column)).map(tuple),
    images=st.none() | st.just(Path("/photographs")),
    split=st.none() | st.text(),
    exclude=st.lists(st.text()).map(tuple),
    default_excludes=st.booleans(),
    frames_per_minute=st.floats(0.01, 600.0),
    lang=st.none() | st.just("en"),
)


@given(_OPTIONS)
def test_a_spec_comes_back_from_its_json(options: CorpusOptions) -> None:
    spec = CorpusSpec("/photographs/train-{000..005}.tar", options)

    assert CorpusSpec.from_json(spec.to_json()) == spec


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(
        [
            "format",
            "images",
            "exclude",
            "caption_columns",
            "lang",
            "default_excludes",
            "frames_per_minute",
            "x",
        ]
    ),
    _JSON,
)
def test_a_spec_of_a_strangers_collection_is_read_or_ignored(name: str, value: object) -> None:
    text = json.dumps({"source": "/p", "options": {name: value}})

    found = CorpusSpec.from_json(text)

    assert found is None or CorpusSpec.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[1]",
        "{}",
        '{"source": "p", "options": {}}',
        '{"source": 3, "options": {}}',
        '{"source": "/p"}',
        '{"source": "/p\\u0000", "options": {}}',
        "[" * 70_000,
    ],
)
def test_what_is_no_spec_is_ignored(text: str) -> None:
    assert CorpusSpec.from_json(text) is None

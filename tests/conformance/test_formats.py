"""What every format must do; one that is added to ``FORMATS`` needs a sample in ``SAMPLES``."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.corpora import FORMATS, CaptionColumn, CorpusOptions, Format, open_corpus
from retrieval.corpora.options import SPELLINGS
from retrieval.errors import UsageError, VlsearchError
from retrieval.types import CorpusImage, CorpusText, Entry, Failure, FileBytes, UrlBytes
from tests.retrieval.corpora.corpus_reading import Read, write, write_json, write_tar

Captions = Sequence[str | None]
"""Captions of a sample, one for each of its images; None stands for an item that cannot be taken."""


def images_in(folder: Path, captions: Captions) -> list[str]:
    """Names of images, a file for each caption."""
    names = [f"{number:04d}.jpg" for number in range(len(captions))]
    for name in names:
        write(folder / name, b"")
    return names


def write_folder(folder: Path, captions: Captions) -> Path:
    root = folder / "photos"
    root.mkdir()
    for number, caption in enumerate(captions):
        if caption is None:
            (root / f"{number:04d}.jpg").symlink_to("nowhere")
        else:
            write(root / f"{number:04d}.jpg", b"")
            write(root / f"{number:04d}.txt", caption)
    return root


def write_webdataset(folder: Path, captions: Captions) -> Path:
    members = {}
    for number, caption in enumerate(captions):
        members[f"{number:04d}.jpg"] = b""
        members[f"{number:04d}.json"] = b"{" if caption is None else json.dumps({"caption": caption}).encode()
    return write_tar(folder / "train-000.tar", members)


def write_parquet(folder: Path, captions: Captions) -> Path:
    names = images_in(folder, captions)
    shown = [name if caption else None for name, caption in zip(names, captions, strict=True)]
    columns = {"image": pa.array(shown, pa.string()), "caption": pa.array(captions, pa.string())}
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return folder / "t.parquet"


def write_jsonl(folder: Path, captions: Captions) -> Path:
    names = images_in(folder, captions)
    lines = [
        "{" if caption is None else json.dumps({"image": name, "caption": caption})
        for name, caption in zip(names, captions, strict=True)
    ]
    return write(folder / "t.jsonl", "".join(f"{line}\n" for line in lines))


def write_coco(folder: Path, captions: Captions) -> Path:
    names = images_in(folder, captions)
    return write_json(
        folder / "captions.json",
        {
            "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
            "annotations": [
                {"id": number, "image_id": number, "caption": caption}
                for number, caption in enumerate(captions)
            ],
        },
    )


def write_karpathy(folder: Path, captions: Captions) -> Path:
    images = [
        {"filename": name if caption else None, "split": "test", "sentences": [{"raw": caption}]}
        for name, caption in zip(images_in(folder, captions), captions, strict=True)
    ]
    return write_json(folder / "dataset.json", {"images": images})


def write_flickr(folder: Path, captions: Captions) -> Path:
    names = images_in(folder, captions)
    lines = [
        "neither" if caption is None else f"{name}#0\t{caption}"
        for name, caption in zip(names, captions, strict=True)
    ]
    return write(folder / "results.token.txt", "".join(f"{line}\n" for line in lines))


def write_urls(folder: Path, captions: Captions) -> Path:
    lines = [
        "ftp://example.org/a.jpg" if caption is None else f"https://example.org/{number}.jpg\t{caption}"
        for number, caption in enumerate(captions)
    ]
    return write(folder / "urls.txt", "".join(f"{line}\n" for line in lines))


def write_table(suffix: str, delimiter: str) -> Callable[[Path, Captions], Path]:
    def write_rows(folder: Path, captions: Captions) -> Path:
        names = images_in(folder, captions)
        rows = [
            [name, "too", "many"] if caption is None else [name, caption]
            for name, caption in zip(names, captions, strict=True)
        ]
        lines = [delimiter.join(row) for row in [["image", "caption"], *rows]]
        return write(folder / f"t{suffix}", "".join(f"{line}\n" for line in lines))

    return write_rows


def write_lines(folder: Path, captions: Captions) -> Path:
    lines = [b"\xff" if caption is None else caption.encode() for caption in captions]
    return write(folder / "captions.txt", b"".join(line + b"\n" for line in lines))


SAMPLES: dict[str, Callable[[Path, Captions], Path]] = {
    "folder": write_folder,
    "webdataset": write_webdataset,
    "parquet": write_parquet,
    "jsonl": write_jsonl,
    "coco": write_coco,
    "karpathy": write_karpathy,
    "flickr": write_flickr,
    "urls": write_urls,
    "tsv": write_table(".tsv", "\t"),
    "csv": write_table(".csv", ","),
    "lines": write_lines,
}
CAPTIONS = ["a dog", "a cat", "a bird"]
EVERY_FORMAT = pytest.mark.parametrize("format", FORMATS, ids=[format.name for format in FORMATS])


def sample(format: Format, folder: Path, captions: Captions = CAPTIONS) -> Path:
    return SAMPLES[format.name](folder, captions)


def read(path: Path, **options: object) -> Read:
    return Read(open_corpus(str(path), CorpusOptions(**options)).entries())  # type: ignore[arg-type]


def test_every_format_has_a_sample() -> None:
    assert SAMPLES.keys() == {format.name for format in FORMATS}


def test_no_two_formats_have_one_name() -> None:
    assert len({format.name for format in FORMATS}) == len(FORMATS)


def test_exactly_one_format_reads_folders() -> None:
    assert [format.reads for format in FORMATS].count("folder") == 1


@EVERY_FORMAT
def test_a_record_can_stand_in_help_texts_tables_and_sentences(format: Format) -> None:
    assert re.fullmatch("[a-z0-9]+", format.name)
    assert re.fullmatch(r"[^|`\n]{10,100}\.", format.help)
    assert re.fullmatch(r"\S+", format.uri)
    assert format.title
    assert not format.title.endswith(".")
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in format.suffixes)
    assert format.options <= SPELLINGS.keys()


@EVERY_FORMAT
def test_it_is_recognised(format: Format, tmp_path: Path) -> None:
    assert open_corpus(str(sample(format, tmp_path)), CorpusOptions()).format == format.name


@EVERY_FORMAT
def test_it_is_opened_by_its_name(format: Format, tmp_path: Path) -> None:
    path = sample(format, tmp_path)

    assert open_corpus(str(path), CorpusOptions(format=format.name)).format == format.name
    assert read(path, format=format.name).words == CAPTIONS


@EVERY_FORMAT
def test_it_is_recognised_before_any_other_format_that_its_files_could_be(
    format: Format, tmp_path: Path
) -> None:
    path = sample(format, tmp_path)
    if not format.suffixes and format.reads == "file":  # its first line alone tells it from the others
        path = path.rename(path.with_name("corpus"))

    assert open_corpus(str(path), CorpusOptions()).format == format.name


@EVERY_FORMAT
@settings(max_examples=15)
@given(
    captions=st.lists(
        st.one_of(st.none(), st.sampled_from(["a dog", "two  cats", "ein Vögelchen", "狗"])), max_size=8
    )
)
def test_a_bad_item_is_a_failure_with_its_place_and_reason_and_costs_no_other(
    format: Format, tmp_path_factory: pytest.TempPathFactory, captions: list[str | None]
) -> None:
    everything = ["first", *captions]
    path = sample(format, tmp_path_factory.mktemp("corpus"), everything)

    found = read(path)

    assert found.words == [caption for caption in everything if caption is not None]
    assert len(found.failures) == everything.count(None)
    assert all(re.match("(file|https?)://", failure.uri) for failure in found.failures)
    assert all(failure.reason and not failure.reason.endswith(".") for failure in found.failures)


@EVERY_FORMAT
def test_a_corpus_without_items_is_empty_or_one_sentence(format: Format, tmp_path: Path) -> None:
    path = sample(format, tmp_path, [])

    try:
        found = read(path, format=format.name)
    except UsageError as error:
        outcome = str(error)
    else:
        outcome = f"read {path}" if not found.entries + found.failures else "items out of nothing"

    assert str(path) in outcome


@EVERY_FORMAT
def test_it_can_be_read_again_and_twice_at_once(format: Format, tmp_path: Path) -> None:
    corpus = open_corpus(str(sample(format, tmp_path, ["a", None, "b", "c"])), CorpusOptions())

    first = list(corpus.entries())

    assert list(zip(corpus.entries(), corpus.entries(), strict=True)) == [(one, one) for one in first]


@EVERY_FORMAT
def test_entries_come_one_by_one(format: Format, tmp_path: Path) -> None:
    entries = open_corpus(str(sample(format, tmp_path)), CorpusOptions()).entries()

    assert iter(entries) is entries
    assert isinstance(next(entries), Entry)


@EVERY_FORMAT
def test_every_item_has_a_uri_of_its_own_and_no_key_that_the_corpus_did_not_give(
    format: Format, tmp_path: Path
) -> None:
    found = read(sample(format, tmp_path))

    items: list[CorpusImage | CorpusText] = [*found.pictures, *found.texts]
    assert len({item.uri for item in items}) == len(items) >= len(CAPTIONS)
    assert {item.key for item in items} == {None}


@EVERY_FORMAT
def test_images_are_named_by_where_they_are_and_not_opened(format: Format, tmp_path: Path) -> None:
    for picture in read(sample(format, tmp_path)).pictures:  # all of them are empty files
        if isinstance(picture.location, UrlBytes):
            assert picture.uri == picture.location.url
        elif isinstance(picture.location, FileBytes):
            assert picture.uri == picture.location.path.as_uri()


@EVERY_FORMAT
def test_uris_do_not_depend_on_the_working_directory(
    format: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sample(format, tmp_path)
    absolute = open_corpus(str(path), CorpusOptions())
    monkeypatch.chdir(tmp_path)

    relative = open_corpus(path.name, CorpusOptions())
    monkeypatch.chdir(Path(tmp_path.anchor))

    assert relative.uri == absolute.uri == path.as_uri()
    assert list(relative.entries()) == list(absolute.entries())


@EVERY_FORMAT
def test_the_total_is_about_the_number_of_entries_or_unknown(format: Format, tmp_path: Path) -> None:
    corpus = open_corpus(str(sample(format, tmp_path)), CorpusOptions())

    assert corpus.total is None or 0 < corpus.total <= 10 * len(CAPTIONS)


@EVERY_FORMAT
def test_a_language_is_taken_by_every_format(format: Format, tmp_path: Path) -> None:
    assert {text.lang for text in read(sample(format, tmp_path), lang="en").texts} == {"en"}


GIVEN: dict[str, object] = {
    "image_column": "image",
    "caption_columns": (CaptionColumn("caption"),),
    "images": Path(),
    "split": "test",
    "exclude": ("*.png",),
    "default_excludes": False,
    "frames_per_minute": 2.0,
}


def test_every_option_that_not_every_format_takes_has_a_spelling() -> None:
    fields = {field.name for field in dataclasses.fields(CorpusOptions)}

    assert SPELLINGS.keys() == GIVEN.keys() == fields - {"format", "lang", "shard"}


@EVERY_FORMAT
@pytest.mark.parametrize("option", GIVEN)
def test_it_takes_the_options_of_its_record_and_refuses_the_others(
    format: Format, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sample(format, tmp_path)
    monkeypatch.chdir(path.parent)

    if option in format.options:
        assert read(path, **{option: GIVEN[option]}).words == CAPTIONS
    else:
        with pytest.raises(
            UsageError, match=f"{SPELLINGS[option]} has no meaning for .*, read as {format.name}"
        ):
            read(path, **{option: GIVEN[option]})


@EVERY_FORMAT
def test_a_corpus_that_vanishes_after_it_was_opened_is_our_error_or_a_failure(
    format: Format, tmp_path: Path
) -> None:
    path = sample(format, tmp_path)
    corpus = open_corpus(str(path), CorpusOptions())
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    try:
        found = list(corpus.entries())
    except VlsearchError as error:
        outcome = [str(error)]
    else:
        outcome = [one.uri if isinstance(one, Failure) else "an entry" for one in found]

    was_in_memory = format.suffixes == (".json",)
    assert outcome == ["an entry"] * len(CAPTIONS) if was_in_memory else str(path) in outcome[0]

"""The same pictures with the same captions are the same corpus, in whatever format somebody keeps them."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.corpora.braces import expand_braces
from retrieval.errors import CorpusFormatError, UsageError
from retrieval.types import CorpusImage, FileBytes, MemberBytes
from tests.retrieval.corpora.corpus_reading import Read, read, write, write_json, write_tar

Pairs = dict[str, list[str]]
NAMES = st.from_regex(r"[a-z]{1,5}[0-9]{0,2}", fullmatch=True).map("{}.jpg".format)
WORDS = st.text("abc é狗,;'.(#)&", min_size=1, max_size=14).filter(lambda text: text == text.strip())
PAIRS = st.dictionaries(NAMES, st.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=4)


def as_csv(folder: Path, pairs: Pairs) -> Path:
    path = folder / "pairs.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["image", "caption"], *rows(pairs)])
    return path


def as_tsv(folder: Path, pairs: Pairs) -> Path:
    lines = ["image\tcaption", *(f"{name}\t{words}" for name, words in rows(pairs))]
    return write(folder / "pairs.tsv", "\n".join(lines) + "\n")


def as_jsonl(folder: Path, pairs: Pairs) -> Path:
    lines = (json.dumps({"image": name, "captions": captions}) for name, captions in pairs.items())
    return write(folder / "pairs.jsonl", "\n".join(lines))


def as_parquet(folder: Path, pairs: Pairs) -> Path:
    path = folder / "pairs.parquet"
    table = pyarrow.table({"image": list(pairs), "captions": list(pairs.values())})
    pyarrow.parquet.write_table(table, path)
    return path


def as_coco(folder: Path, pairs: Pairs) -> Path:
    number = {name: at for at, name in enumerate(pairs, 1)}
    annotations = [
        {"id": at, "image_id": number[name], "caption": words}
        for at, (name, words) in enumerate(rows(pairs), 1)
    ]
    images = [{"id": at, "file_name": name} for name, at in number.items()]
    return write_json(folder / "pairs.json", {"images": images, "annotations": annotations})


def as_karpathy(folder: Path, pairs: Pairs) -> Path:
    images = [
        {
            "imgid": at,
            "filename": name,
            "split": "train",
            "sentences": [{"raw": words, "sentid": 10 * at + n} for n, words in enumerate(captions)],
        }
        for at, (name, captions) in enumerate(pairs.items())
    ]
    return write_json(folder / "dataset_pairs.json", {"dataset": "mine", "images": images})


def as_flickr(folder: Path, pairs: Pairs) -> Path:
    lines = [f"{name}#{n}\t{words}" for name, captions in pairs.items() for n, words in enumerate(captions)]
    return write(folder / "pairs.token.txt", "\n".join(lines) + "\n")


def as_folder(folder: Path, pairs: Pairs) -> Path:
    for name, captions in pairs.items():
        write(folder / f"{name.removesuffix('.jpg')}.txt", "\n".join(captions) + "\n")
    return folder


def as_tar(folder: Path, pairs: Pairs) -> Path:
    members: dict[str, bytes] = {}
    for name, captions in pairs.items():
        members |= {
            name: b"JPEG",
            f"{name.removesuffix('.jpg')}.json": json.dumps({"captions": captions}).encode(),
        }
    return write_tar(folder / "pairs.tar", members)


def rows(pairs: Pairs) -> Iterator[tuple[str, str]]:
    return ((name, words) for name, captions in pairs.items() for words in captions)


FORMATS: list[Callable[[Path, Pairs], Path]] = [
    as_csv, as_tsv, as_jsonl, as_parquet, as_coco, as_karpathy, as_flickr, as_folder, as_tar,
]  # fmt: skip


def name_of(image: CorpusImage) -> str:
    if isinstance(image.location, MemberBytes):
        return image.location.name
    assert isinstance(image.location, FileBytes)
    return image.location.path.name


def pairs_in(found: Read) -> Pairs:
    """Captions by picture, those of several entries of one picture in their order."""
    pairs: Pairs = {}
    for entry in found.entries:
        assert entry.image is not None
        pairs.setdefault(name_of(entry.image), []).extend(text.text for text in entry.texts)
    return pairs


@pytest.mark.parametrize("written", FORMATS, ids=lambda written: str(written.__name__).removeprefix("as_"))
@settings(max_examples=12)
@given(PAIRS)
def test_what_was_paired_is_paired(written: Callable[[Path, Pairs], Path], pairs: Pairs) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for image in pairs:
            write(folder / image, b"JPEG")

        found = read(written(folder, pairs))

    assert found.failures == []
    assert pairs_in(found) == pairs
    uris = [text.uri for text in found.texts]
    assert len(set(uris)) == len(uris)


@pytest.mark.parametrize("written", FORMATS, ids=lambda written: str(written.__name__).removeprefix("as_"))
@settings(max_examples=6)
@given(pairs=PAIRS, lang=st.sampled_from(["en", "zh-Hans"]))
def test_a_language_that_is_said_is_that_of_every_caption_and_reading_twice_is_reading_once(
    written: Callable[[Path, Pairs], Path], pairs: Pairs, lang: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for image in pairs:
            write(folder / image, b"JPEG")
        path = written(folder, pairs)

        found, again = read(path, lang=lang), read(path, lang=lang)

    assert {text.lang for text in found.texts} == {lang}
    assert found.entries == again.entries


@pytest.mark.parametrize(
    "written", FORMATS[:6], ids=lambda written: str(written.__name__).removeprefix("as_")
)
@pytest.mark.parametrize(
    "image", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "file:///etc/secret.jpg"]
)
def test_no_format_follows_a_name_out_of_its_folder(
    written: Callable[[Path, Pairs], Path], image: str, tmp_path: Path
) -> None:
    folder = tmp_path / "corpus"
    write(folder / "fine.jpg", b"JPEG")
    write(tmp_path / "secret.jpg", b"JPEG")

    found = read(written(folder, {"fine.jpg": ["a dog"], image: ["a cat"]}))

    assert [name_of(picture) for picture in found.pictures] == ["fine.jpg"]
    assert len(found.failures) == 1
    assert "is not inside" in found.reasons[0]


@pytest.mark.parametrize(
    "written", FORMATS[:6], ids=lambda written: str(written.__name__).removeprefix("as_")
)
def test_a_file_that_is_cut_short_costs_what_is_cut_off_or_is_refused_with_its_name(
    written: Callable[[Path, Pairs], Path], tmp_path: Path
) -> None:
    pairs = {f"{number}.jpg": [f"caption {number}"] for number in range(6)}
    for image in pairs:
        write(tmp_path / image, b"JPEG")
    path = written(tmp_path, pairs)
    whole = path.read_bytes()

    for share in (0.2, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        try:
            found = pairs_in(read(path))
        except (CorpusFormatError, UsageError) as error:
            assert path.name in str(error)  # noqa: PT017 - either may be
            continue
        assert set(found) <= set(pairs) or found.keys() <= {name[:n] for name in pairs for n in range(9)}


@given(st.integers(0, 30), st.integers(0, 30), st.booleans())
def test_a_range_of_shards_counts_from_end_to_end_with_its_zeros(first: int, last: int, padded: bool) -> None:
    width = 3 if padded else 0
    step = 1 if first <= last else -1

    found = expand_braces(f"s-{{{first:0{width}}..{last:0{width}}}}.tar")

    assert found == [f"s-{number:0{width}}.tar" for number in range(first, last + step, step)]

"""Corpora in an S3 store are what the same files are on a disk, under names of the store."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrieval.corpora import Corpus, CorpusOptions, open_corpus
from retrieval.errors import CorpusFormatError, UsageError
from retrieval.locations.fetch import read_bytes
from retrieval.types import CellBytes, Limits, UrlBytes
from tests.builders import png
from tests.retrieval.corpora.corpus_reading import Read, read, write, write_tar
from tests.s3_server import Bucket, requests_counted

TREE = {
    "a.png": png("red"),
    "a.txt": b"a red square\nun carr\xc3\xa9 rouge",
    "a.png.xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
    "b.dng": b"raw",
    "b.jpg": b"not looked at yet",
    "notes.md": b"left out",
    "nobody's.txt": b"left out, too",
    "with blank & #.png": png("blue"),
    "no-suffix": png("green"),
    "no-suffix-and-no-bytes": b"",
    "empty.jpg": b"",
    "sub/deep/c.gif": b"GIF89a",
    "sub/d.tiff": b"II*\0",
    "sub/d.txt": b"two\xff pages",
    ".hidden/e.png": png(),
    "skipped/f.png": png(),
    "@eaDir/g.png": png(),
}


def told(found: Read, root: str) -> list[Any]:
    """What was read, by names below the root, without places."""
    entries = [
        (
            one.image
            and (one.image.uri.removeprefix(root), one.image.may_be_several, dict(one.image.attributes)),
            one.image and len(one.image.sidecars),
            [
                (text.uri.removeprefix(root), text.text, text.lang, dict(text.attributes))
                for text in one.texts
            ],
        )
        for one in found.entries
    ]
    return [*entries, *((one.uri.removeprefix(root), one.reason) for one in found.failures)]


def both(
    bucket: Bucket, files: dict[str, bytes], name: str, place: Path, **options: Any
) -> tuple[Corpus, Corpus]:
    """A corpus on a disk, and the same in a store, both checked to be read alike."""
    for path, data in files.items():
        write(place / "data" / path, data)
        bucket.put(f"some/data/{path}", data)
    local = open_corpus(str(place / "data" / name).rstrip("/"), CorpusOptions(**options))
    stored = open_corpus(f"s3://{bucket.name}/some/data/{name}", CorpusOptions(**options))
    left_out: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    here, there = Read(local.entries(left_out[0])), Read(stored.entries(left_out[1]))
    roots = f"file://{place}/data", f"s3://{bucket.name}/some/data"

    assert told(there, roots[1]) == told(here, roots[0])
    assert left_out[0] == left_out[1]
    assert stored.uri.removeprefix(roots[1]) == local.uri.removeprefix(roots[0])
    assert (stored.format, stored.total) == (local.format, local.total)
    for one, other in zip(here.pictures, there.pictures, strict=True):
        assert read_bytes(one.location, Limits()) == read_bytes(other.location, Limits())
    return local, stored


def test_a_folder_is_read_as_the_same_folder_on_a_disk(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("some/data2/other.png", png())

    _, stored = both(bucket, TREE, "", tmp_path, exclude=("skipped",), lang="en")

    assert f"{stored.uri}/with%20blank%20%26%20%23.png" in [
        one.uri for one in Read(stored.entries()).pictures
    ]


SAMPLES = {
    "x/1.png": png("red"),
    "x/1.json": b'{"caption": "one", "stars": 3}',
    "x/2.txt": b"two\nzwei",
    "x/2.tif": b"II*\0",
}
TABLE = b"file,title\nin/a.png,a\nb.png,b\n../c.png,c\nhttps://example.org/d.png,d\nbad\xff.png,e\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("captions.csv", TABLE),
        ("captions.jsonl", b'{"image": "in/a.png", "caption": ["a", "b"], "n": 1}\nnot JSON\n'),
        ("urls.txt", b"https://example.org/a.png\ta picture\nhttps://\n"),
        ("lines.txt", b"one\n\ntwo\n"),
        ("karpathy.json", json.dumps({"images": [
            {"filename": "b.png", "split": "test", "sentences": [{"raw": "b"}]},
        ]}).encode()),
    ],
)  # fmt: skip
def test_a_table_is_read_as_the_same_table_on_a_disk_with_the_pictures_beside_it(
    bucket: Bucket, tmp_path: Path, name: str, data: bytes
) -> None:
    pictures = {"in/a.png": png("red"), "b.png": png("blue")}
    for path, picture in pictures.items():
        write(tmp_path / "data" / path, picture)
        bucket.put(f"some/data/{path}", picture)
    write(tmp_path / "data" / name, data)
    bucket.put(f"some/data/{name}", data)

    here, there = read(tmp_path / "data" / name), read(f"s3://{bucket.name}/some/data/{name}")

    as_here = json.dumps(told(there, f"s3://{bucket.name}/some/data")).replace(
        f"s3://{bucket.name}/some", str(tmp_path)
    )
    assert as_here == json.dumps(told(here, f"file://{tmp_path}/data"))
    for a, b in zip(here.pictures, there.pictures, strict=True):
        if not isinstance(a.location, UrlBytes):
            assert read_bytes(a.location, Limits()) == read_bytes(b.location, Limits())


def test_pictures_in_a_table_are_read_from_its_copy(bucket: Bucket, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"image": [png("red"), png("blue")], "caption": ["r", "b"]}), tmp_path / "t.parquet"
    )
    table = bucket.put("t.parquet", (tmp_path / "t.parquet").read_bytes())

    corpus = open_corpus(table, CorpusOptions())
    found = Read(corpus.entries())

    assert [one.uri for one in found.pictures] == [f"{table}#row%3D1", f"{table}#row%3D2"]
    assert all(isinstance(one.location, CellBytes) for one in found.pictures)
    assert read_bytes(found.pictures[1].location, Limits()) == png("blue")


def test_a_tar_is_read_as_the_same_tar_on_a_disk(bucket: Bucket, tmp_path: Path) -> None:
    data = write_tar(tmp_path / "x.tar", SAMPLES).read_bytes()

    both(bucket, {"shards/x.tar": data}, "shards/x.tar", tmp_path)


def test_several_tars_are_one_corpus_and_each_comes_over_the_network_once(
    bucket: Bucket, tmp_path: Path
) -> None:
    files = {
        f"x-{number}.tar": write_tar(
            tmp_path / f"{number}.tar", {f"{number}.png": png(), f"{number}.txt": f"is {number}".encode()}
        ).read_bytes()
        for number in range(4)
    }
    for name, data in files.items():
        bucket.put(name, data)

    with requests_counted() as asked:
        corpus = open_corpus(f"s3://{bucket.name}/x-{{0..3}}.tar", CorpusOptions())
        found = []
        for entry in Read(corpus.entries()).entries[-2:]:
            assert entry.image is not None
            found.append(read_bytes(entry.image.location, Limits()))

    assert corpus.uri == f"s3://{bucket.name}/x-%7B0..3%7D.tar"
    assert found == [png()] * 2
    assert Counter(name for name, _ in asked) == {"HeadObject": 5, "ListObjectsV2": 1, "GetObject": 4}


def test_a_corpus_in_a_store_is_opened_again_by_what_a_collection_keeps_of_it(bucket: Bucket) -> None:
    bucket.put("photos/a.png", png())
    corpus = open_corpus(f"s3://{bucket.name}/photos/", CorpusOptions(lang="en"))
    assert corpus.spec is not None

    again = type(corpus.spec).from_json(corpus.spec.to_json())

    assert again == corpus.spec
    assert again is not None
    assert open_corpus(again.source, again.options).uri == corpus.uri == f"s3://{bucket.name}/photos"


@pytest.mark.parametrize(
    ("address", "kind", "sentence"),
    [
        ("s3://ab/photos", UsageError, "'ab' is not the name of a bucket"),
        ("s3://{bucket}/nothing", CorpusFormatError, "there is no such object, and none below it"),
        ("s3://no-such-bucket/photos", CorpusFormatError, "there is no such bucket"),
        ("s3://{bucket}/a\nb", UsageError, "is not the address of an object"),
        ("s3://{bucket}/x-{{0..2}}.tar", CorpusFormatError, "x-0.tar: there is no such object"),
        (
            "s3://{bucket}/one.png",
            CorpusFormatError,
            "s3://{bucket}/one.png: is one picture, and not a corpus",
        ),
        ("s3://{bucket}/a.csv", CorpusFormatError, "s3://{bucket}/a.csv"),
        ("s3://{bucket}/c/", CorpusFormatError, "is a collection, not a corpus"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence_about_the_address(
    bucket: Bucket, address: str, kind: type[UsageError], sentence: str
) -> None:
    bucket.put("one.png", png())
    bucket.put("a.csv", "nothing\nof use\n")
    bucket.put("c/catalogue.sqlite", "")

    with pytest.raises(kind) as caught:
        open_corpus(address.format(bucket=bucket.name), CorpusOptions())

    assert sentence.format(bucket=bucket.name) in str(caught.value)
    assert "/tmp" not in str(caught.value)


def test_a_collection_in_a_store_is_left_out(bucket: Bucket) -> None:
    bucket.put("p/a.png", png())
    bucket.put("p/collection/catalogue.sqlite", b"")
    bucket.put("p/collection/thumbnail.png", png())
    left_out: Counter[str] = Counter()

    found = Read(open_corpus(f"s3://{bucket.name}/p", CorpusOptions()).entries(left_out))

    assert len(found.pictures) == 1
    assert left_out == {"collection": 1}

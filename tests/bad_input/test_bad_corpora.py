"""Tables, data sets and archives that are wrong: refused in a sentence, or taken as far as they are right."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.bad_input.kinds import encoded
from tests.command_line import Run

JPEG = encoded()


@dataclass(frozen=True, slots=True)
class Refused:
    """A corpus that cannot be read as what it is: exit code 2 and this sentence."""

    name: str
    data: bytes
    sentence: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Partly:
    """A corpus that is read, with these counts and these reasons of failures."""

    name: str
    data: bytes
    images: int
    captions: int
    reasons: tuple[str, ...]
    options: tuple[str, ...] = field(default=())


def json_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def coco(images: object, annotations: object) -> bytes:
    return json_bytes({"images": images, "annotations": annotations})


def tar(*members: tuple[str, bytes], edit: Callable[[tarfile.TarInfo], None] = lambda info: None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            edit(info)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def as_link(info: tarfile.TarInfo) -> None:
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0


RIGHT = {"id": 1, "file_name": "right.jpg"}
SAID = {"image_id": 1, "id": 1, "caption": "noise"}

CORPORA = [
    Refused("empty.csv", b"", "is empty"),
    Refused("other-columns.csv", b"a,b\n1,2\n", "has no column with a usual name for pictures or captions"),
    Refused("no-such-column.csv", b"image,caption\n", "has no column 'title'", ("--caption-column", "title")),
    Refused("two-such-columns.csv", b"image,caption,caption\nx,y,z\n", "could all be meant"),
    Refused("utf-16.csv", "image,caption\nright.jpg,noise\n".encode("utf-16"), "UTF-16"),
    Refused("picture.csv", JPEG, "the header cannot be read: byte 1 of the line (0xff) is not UTF-8"),
    Refused("table.parquet", b"PAR1" + bytes(50), "Parquet"),
    Refused("empty.json", b"", "JSON"),
    Refused("cut.json", coco([RIGHT], [SAID])[:-9], "JSON"),
    Refused("deep.json", b'{"a":' * 200_000, "nested"),
    Refused("list.json", b"[1, 2, 3]", "JSON"),
    Refused("neither.json", b'{"a": 1}', "is neither COCO captions nor Karpathy splits (its keys: a)"),
    Refused("texts.jsonl", b"just words\n", "holds no JSON object"),
    Refused("zipped.tar", b"\x1f\x8b" + bytes(600), "is compressed (gzip), and corpora are read as they are"),
    Refused("unknown.xyz", b"what is this", "is in no format that is recognised"),
    Partly(
        "no-such-picture.csv", b"image,caption\nnone.jpg,noise\nright.jpg,noise\n", 1, 2, ("No such file",)
    ),
    Partly(
        "outside.csv",
        b"image,caption\n../../etc/passwd,x\n/etc/passwd,y\nright.jpg,noise\n",
        1,
        1,
        ("outside",) * 2,
    ),
    Partly(
        "short-row.csv",
        b"image,caption\nright.jpg\nright.jpg,noise\n",
        1,
        1,
        ("has 1 fields, and the header 2",),
    ),
    Partly("nul.csv", b"image,caption\nri\0ght.jpg,x\nright.jpg,noise\n", 1, 1, ("cannot be a file's name",)),
    Partly("latin-1.csv", b"image,caption\nright.jpg,caf\xe9\nright.jpg,noise\n", 1, 1, ("is not UTF-8",)),
    Partly(
        "scripts.csv",
        b"image,caption\njavascript:alert(1),x\nfile:///etc/passwd,y\nright.jpg,noise\n",
        1,
        2,
        ("No such file", "is not inside"),
    ),
    Partly(
        "half-bad.jsonl",
        b'{"image": "right.jpg", "caption": "noise"}\n{"image": 7}\nnull\n{"im\n',
        1,
        1,
        ("", "", ""),
    ),
    Partly("dangling.json", coco([RIGHT], [SAID, {**SAID, "id": 2, "image_id": 99}]), 1, 1, ("99",)),
    Partly("nameless.json", coco([RIGHT, {"id": 2}], [SAID]), 1, 1, ("the picture's name is empty",)),
    Partly(
        "numbers.json",
        coco([RIGHT, {"id": 3, "file_name": 5}], [SAID, {"image_id": 1, "id": 7, "caption": 5}]),
        1,
        1,
        ("", ""),
    ),
    Partly("empty.tar", b"", 0, 0, ("it may be cut short",)),
    Partly("words.tar", b"no archive at all, " * 100, 0, 0, ("damaged at byte 0",)),
    Partly(
        "escape.tar",
        tar(("../../up.jpg", JPEG), ("/root.jpg", JPEG), ("in.jpg", JPEG), ("in.txt", b"noise")),
        3,
        1,
        (),
    ),
    Partly(
        "links.tar",
        tar(("link.jpg", b""), edit=as_link) + tar(("in.jpg", JPEG), ("in.txt", b"noise")),
        0,
        0,
        ("is a symbolic link in the archive, not a file",),
    ),
    Partly(
        "cut.tar",
        tar(("a.jpg", JPEG), ("a.txt", b"noise"), ("b.jpg", JPEG))[: 512 + 3072 + 1024 + 512 + 900],
        1,
        1,
        ("claims 2,471 bytes, and 1,412 are left",),
    ),
    Partly(
        "bad-members.tar",
        tar(("a.jpg", b""), ("b.jpg", b"x" * 99), ("c.jpg", JPEG), ("c.json", b"{")),
        1,
        0,
        ("", "", ""),
    ),
]


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.name)
def test_a_bad_corpus_has_its_outcome(
    corpus: Refused | Partly, run: Run, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / corpus.name
    path.write_bytes(corpus.data)
    (tmp_path / "right.jpg").write_bytes(JPEG)
    collection = ("--collection", tmp_path / "collection")

    done = run("index", path, "--model", model, "--json", *corpus.options, *collection)
    failures = run("info", "--failures", *collection)

    took_nothing = isinstance(corpus, Partly) and not (corpus.images or corpus.captions)
    assert done.exit_code == (2 if isinstance(corpus, Refused) else int(took_nothing)), done.exception
    if isinstance(corpus, Refused):
        assert corpus.sentence in done.stderr
        assert not (tmp_path / "collection").exists()
    else:
        counts = json.loads(done.stdout)
        reasons = failures.stdout.splitlines()
        assert (counts["images"], counts["captions"]) == (corpus.images, corpus.captions)
        assert counts["failed"] == len(reasons) == len(corpus.reasons)
        for reason, expected in zip(reasons, corpus.reasons, strict=True):
            assert expected in reason

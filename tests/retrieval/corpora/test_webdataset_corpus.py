from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.corpora import CaptionColumn, CorpusOptions, open_corpus
from retrieval.errors import CorpusFormatError
from retrieval.locations.fetch import read_bytes
from retrieval.types import CorpusImage, CorpusText, Entry, Limits, MemberBytes
from retrieval.uris import file_uri
from tests.retrieval.corpora.corpus_reading import Read, read, write, write_tar


def as_json(**record: object) -> bytes:
    return json.dumps(record).encode()


def test_a_sample_is_a_picture_with_the_captions_and_attributes_of_its_json(tmp_path: Path) -> None:
    record = as_json(captions=["one", "two"], label="dog", size=[1, 2])
    path = write_tar(tmp_path / "t.tar", {"./a.jpg": b"JPEG", "./a.json": record})

    (entry,) = read(path, lang="en").entries

    place = file_uri(path, "./a.json/captions")
    assert entry == Entry(
        CorpusImage(
            file_uri(path, "./a.jpg"),
            MemberBytes(path, "./a.jpg", 512, 4),
            None,
            {"label": "dog", "size": "[1, 2]"},
        ),
        (CorpusText(f"{place}/0", "one", lang="en"), CorpusText(f"{place}/1", "two", lang="en")),
    )


def test_a_members_bytes_stand_where_its_location_says(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", {f"{'deep/' * 40}{n}.png": b"picture %d" % n for n in range(3)})

    content = path.read_bytes()
    locations = [one.location for one in read(path).pictures if isinstance(one.location, MemberBytes)]

    there = [content[one.offset : one.offset + one.size] for one in locations]
    assert there == [b"picture 0", b"picture 1", b"picture 2"]


def test_each_line_of_a_text_member_is_a_caption_wherever_it_stands_in_the_sample(tmp_path: Path) -> None:
    members = {
        "a.txt": "one\n\nzwei Bären\r\n".encode(),
        "a.jpg": b"",
        "b.JPG": b"",
        "b.txt": b"\xef\xbb\xbfthree",
    }
    path = write_tar(tmp_path / "t.tar", members)

    found = read(path)

    assert [[(text.uri, text.text) for text in entry.texts] for entry in found.entries] == [
        [(file_uri(path, "a.txt/L1"), "one"), (file_uri(path, "a.txt/L3"), "zwei Bären")],
        [(file_uri(path, "b.txt/L1"), "three")],
    ]


def test_a_caption_that_stands_in_the_json_and_in_the_text_is_taken_once(tmp_path: Path) -> None:
    members = {"a.jpg": b"", "a.txt": b"the same\nanother\n", "a.json": as_json(caption="the same")}
    path = write_tar(tmp_path / "t.tar", members)

    assert [text.uri for text in read(path).texts] == [
        file_uri(path, "a.json/caption/0"),
        file_uri(path, "a.txt/L2"),
    ]


def test_captions_under_other_keys_are_taken_when_they_are_named(tmp_path: Path) -> None:
    record = as_json(captions=["one"], captions_zh=["一"])
    path = write_tar(tmp_path / "t.tar", {"a.jpg": b"", "a.json": record})

    columns = CaptionColumn("captions", "en"), CaptionColumn("captions_zh", "zh")

    assert [(text.text, text.lang) for text in read(path).texts] == [("one", None)]
    assert [(text.text, text.lang) for text in read(path, caption_columns=columns).texts] == [
        ("one", "en"),
        ("一", "zh"),
    ]


def test_a_named_key_that_no_sample_has_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", {"a.jpg": b"", "a.json": as_json(caption="x", n=1)})

    with pytest.raises(CorpusFormatError, match="with the key words; the keys are: caption, n"):
        read(path, caption_columns=(CaptionColumn("words"),))


def test_a_text_describes_the_picture_that_bears_its_name_or_else_all_of_the_sample(tmp_path: Path) -> None:
    members = {
        "s.left.jpg": b"", "s.right.jpg": b"", "s.left.txt": b"left", "s.txt": b"both",
        "m.jpg": b"", "m.mask.png": b"", "m.json": as_json(caption="of the picture", n=1),
    }  # fmt: skip
    path = write_tar(tmp_path / "t.tar", members)

    found = read(path)

    assert [[text.text for text in entry.texts] for entry in found.entries] == [
        ["left", "both"], ["both"], ["of the picture"], [],
    ]  # fmt: skip
    assert [dict(picture.attributes) for picture in found.pictures] == [{}, {}, {"n": 1}, {}]


def test_what_is_no_picture_json_or_text_is_passed_over(tmp_path: Path) -> None:
    members = {
        "a.cls": b"7",
        "a.jpg": b"",
        "._a.jpg": b"",
        "folder/.hidden.png": b"",
        "b.mp4": b"",
        "jpg": b"",
    }
    path = write_tar(tmp_path / "t.tar", members)

    found = read(path)

    assert [picture.uri for picture in found.pictures] == [file_uri(path, "a.jpg")]
    assert found.failures == []


def test_a_caption_far_from_its_picture_is_a_failure_that_says_what_to_do(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", {"a.jpg": b"", "b.jpg": b"", "a.txt": b"one", "b.txt": b"two"})

    found = read(path)

    assert len(found.pictures) == 2
    assert [failure.uri for failure in found.failures] == [
        file_uri(path, "a.txt/L1"),
        file_uri(path, "b.txt/L1"),
    ]
    assert "no picture stands next to the caption" in found.reasons[0]
    assert "sorted by name" in found.reasons[0]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (b"{", "is not JSON"),
        (b"[]", "a list instead of an object"),
        (b"\xff{}", "is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * 2**20 + b"{}", "a text member is longer than"),
        (b'{"caption": 7}', "a caption is a number"),
        (b'{"caption": ["\\ud800"]}', "surrogate pair"),
    ],
)
def test_a_faulty_json_is_a_failure_and_costs_its_picture_nothing(
    tmp_path: Path, member: bytes, reason: str
) -> None:
    path = write_tar(
        tmp_path / "t.tar", {"a.jpg": b"", "a.json": member, "b.jpg": b"", "b.txt": b"fine\n\xff"}
    )

    found = read(path)

    assert len(found.pictures) == 2
    assert found.words == ["fine"]
    assert [failure.uri.partition("#")[2].split("/")[0] for failure in found.failures] == ["a.json", "b.txt"]
    assert reason in found.reasons[0]


def test_a_picture_that_is_a_link_in_the_archive_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)

    found = read(path)

    assert found.entries == []
    assert found.reasons == ["is a symbolic link in the archive, not a file"]


def test_a_truncated_archive_gives_what_came_before_and_a_failure_with_its_offset(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "t.tar", {"a.jpg": b"x" * 600, "a.txt": b"one", "b.jpg": b"x" * 600})
    path.write_bytes(path.read_bytes()[:3200])

    found = read(path)

    assert found.words == ["one"]
    assert [failure.uri for failure in found.failures] == [file_uri(path)]
    assert found.reasons == ["damaged at byte 2,560: member 'b.jpg' claims 600 bytes, and 128 are left"]


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"not a tar" * 100])
def test_a_file_that_is_no_tar_is_a_failure_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "t.tar", content)

    found = read(path)

    assert found.entries == []
    assert [failure.uri for failure in found.failures] == [file_uri(path)]
    assert "damaged at byte 0" in found.reasons[0]


def test_a_brace_pattern_is_one_corpus_of_several_archives(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(
            tmp_path / f"train-{number:03d}.tar",
            {f"{number}.jpg": b"", f"{number}.txt": b"caption %d" % number},
        )

    corpus = open_corpus(f"{tmp_path}/train-{{000..002}}.tar", CorpusOptions())

    assert corpus.format == "webdataset"
    assert corpus.uri == file_uri(tmp_path / "train-{000..002}.tar")
    assert read(f"{tmp_path}/train-{{000..002}}.tar").words == ["caption 0", "caption 1", "caption 2"]


def test_one_damaged_archive_does_not_keep_the_next_from_being_read(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", b"nonsense" * 100)
    write_tar(tmp_path / "1.tar", {"a.jpg": b""})

    found = read(f"{tmp_path}/{{0..1}}.tar")

    assert (len(found.pictures), len(found.failures)) == (1, 1)


def test_an_archive_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", {"a.jpg": b""})

    with pytest.raises(CorpusFormatError, match=r"1\.tar: there is no such file"):
        read(f"{tmp_path}/{{0..1}}.tar")


@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz", "t.tgz"])
def test_a_compressed_archive_is_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, gzip.compress(write_tar(tmp_path / "x.tar", {"a.jpg": b""}).read_bytes()))

    with pytest.raises(CorpusFormatError, match=r"is compressed \(gzip\).*Decompress it first"):
        read(path)
    with pytest.raises(CorpusFormatError, match=r"is compressed \(gzip\)"):
        read(path, format="webdataset")


def test_an_endless_sample_is_read_in_parts(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "t.tar", {f"a.{number}.jpg": b"" for number in range(2500)}, tarfile.USTAR_FORMAT
    )

    assert len({picture.uri for picture in read(path).pictures}) == 2500


def test_the_total_is_about_the_number_of_samples(tmp_path: Path) -> None:
    members = {f"{n // 2}.{'txt' if n % 2 else 'jpg'}": b"x" * 300 for n in range(2000)}
    path = write_tar(tmp_path / "t.tar", members, tarfile.USTAR_FORMAT)

    total = open_corpus(str(path), CorpusOptions()).total

    assert total is not None
    assert 950 < total < 1050


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(
    lambda text: bool(text.strip())
)
_KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/."), min_size=1, max_size=20)


@settings(max_examples=40)
@given(samples=st.dictionaries(_KEYS, st.lists(_TEXTS), min_size=1, max_size=4))
def test_any_captions_packed_into_a_tar_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, samples: dict[str, list[str]]
) -> None:
    members: dict[str, bytes] = {}
    for key, captions in samples.items():
        members |= {f"{key}.jpg": b"JPEG", f"{key}.json": as_json(captions=captions)}
    path = write_tar(tmp_path_factory.mktemp("tar") / "t.tar", members)

    found = read(path)

    assert found.failures == []
    assert [picture.uri for picture in found.pictures] == [file_uri(path, f"{key}.jpg") for key in samples]
    assert [[text.text for text in entry.texts] for entry in found.entries] == list(samples.values())
    assert len({text.uri for text in found.texts}) == len(found.texts)


def append(path: Path, name: str, data: bytes) -> None:
    """What ``tar -r`` does."""
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))


def test_of_members_with_one_name_the_last_counts_in_the_place_of_the_first(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"a.jpg": b"old", "a.txt": b"old words", "b.jpg": b"b"})
    append(path, "a.jpg", b"new bytes")
    append(path, "./a.txt", b"new words")
    append(path, "a.txt", b"newest words")
    left_out: Counter[str] = Counter()

    found = Read(open_corpus(str(path), CorpusOptions()).entries(left_out))

    (picture, other) = found.pictures
    assert isinstance(picture.location, MemberBytes)
    assert read_bytes(picture.location, Limits()) == b"new bytes"
    assert other.uri.endswith("x.tar#b.jpg")
    assert found.words == ["newest words"]
    assert left_out == {"replaced member": 3}
    assert not found.failures


def test_a_member_that_is_a_hard_link_to_itself_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:  # tar cf x.tar a.jpg a.jpg
        info = tarfile.TarInfo("a.jpg")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
        info = tarfile.TarInfo("a.jpg")
        info.type, info.linkname = tarfile.LNKTYPE, "a.jpg"
        archive.addfile(info)

    found = read(path)

    assert [one.uri.rpartition("#")[2] for one in found.pictures] == ["a.jpg"]
    assert not found.failures


def test_members_that_are_not_read_are_counted(tmp_path: Path) -> None:
    members = {"a.jpg": b"a", "a.cls": b"3", "b.mp4": b"v", "._a.jpg": b"", ".c.jpg": b"", "d.npy": b"n"}
    path = write_tar(tmp_path / "x.tar", members)
    left_out: Counter[str] = Counter()

    Read(open_corpus(str(path), CorpusOptions()).entries(left_out))

    assert left_out == {"sidecar file": 1, "video": 1, "system file": 1, "hidden file": 1, "table": 1}


def test_captions_of_many_pictures_under_one_key_are_a_failure(tmp_path: Path) -> None:
    members = {f"a.{n}.jpg": b"x" for n in range(200)}
    path = write_tar(tmp_path / "x.tar", members | {"a.txt": b"words\n" * 200})

    found = read(path)

    assert not found.entries
    (reason,) = found.reasons
    assert "200 captions of 200 pictures" in reason

from __future__ import annotations

import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.locations.tar_members import Damage, Member, find_repeated, walk_members

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def walk(archive: bytes) -> list[Member | Damage]:
    return list(walk_members(io.BytesIO(archive), len(archive)))


def tar_bytes(members: list[tarfile.TarInfo], format: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return file.getvalue()


def regular(name: str, size: int = 3) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    return info


def as_tarfile_reads(archive: bytes) -> list[tuple[str, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return [
            (
                one.name.encode("utf-8", "surrogateescape").decode(errors="backslashreplace"),
                one.offset_data,
                one.size,
            )
            for one in tar
            if one.isreg() and not one.issparse()
        ]


_NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300
).filter(lambda name: name.strip("/") and not name.endswith("/"))


@given(
    members=st.lists(st.tuples(_NAMES, st.integers(0, 1500)), max_size=5),
    format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_members_are_those_that_tarfile_finds(members: list[tuple[str, int]], format: int) -> None:
    archive = tar_bytes([regular(name, size) for name, size in members], format)

    assert [(one.name, one.offset, one.size) for one in walk(archive)] == as_tarfile_reads(archive)  # type: ignore[union-attr]


@given(st.data())
def test_a_damaged_archive_gives_only_members_that_lie_within_it(data: st.DataObject) -> None:
    archive = bytearray(tar_bytes([regular("a" * 120, 700), regular("b.jpg", 5), regular("日本.jpg", 1)]))
    for _ in range(data.draw(st.integers(1, 4))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    archive = archive[: data.draw(st.integers(0, len(archive)))]

    found = walk(bytes(archive))

    assert not any(isinstance(one, Damage) for one in found[:-1])
    for member in found:
        assert isinstance(member, Damage) or 0 <= member.offset <= member.offset + member.size <= len(archive)


@pytest.mark.parametrize("format", FORMATS)
def test_a_long_name_is_read_whole_in_each_format(format: int) -> None:
    name = f"{'folder' * 20}/{'name' * 20}.jpg"

    (member,) = walk(tar_bytes([regular(name)], format))

    assert isinstance(member, Member)
    assert member.name == name


def test_a_size_beyond_octal_digits_is_read_as_gnu_writes_it() -> None:
    header = regular("big.jpg", 2**33 + 1).tobuf(tarfile.GNU_FORMAT)

    first = next(walk_members(io.BytesIO(header), 2**40))

    assert first == Member("big.jpg", 512, 2**33 + 1)


def test_a_size_in_a_pax_header_overrides_that_of_the_header() -> None:
    info = regular("a.jpg", 3)
    info.pax_headers = {"size": "2"}

    found = walk(tar_bytes([info]))

    assert found == [Member("a.jpg", 1536, 2)]


def test_a_name_that_is_no_utf8_is_escaped_and_so_printable() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(regular("café.jpg", 0))

    assert walk(file.getvalue()) == [Member("caf\\xe9.jpg", 512, 0)]


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (tarfile.LNKTYPE, "is a hard link in the archive, not a file"),
        (tarfile.SYMTYPE, "is a symbolic link in the archive, not a file"),
        (tarfile.DIRTYPE, "is a folder in the archive, not a file"),
        (tarfile.FIFOTYPE, "is a special file in the archive, not a file"),
        (tarfile.CHRTYPE, "is a special file in the archive, not a file"),
    ],
)
def test_a_member_that_is_no_file_says_what_it_is_and_has_no_bytes(kind: bytes, fault: str) -> None:
    info = tarfile.TarInfo("a.jpg")
    info.type, info.linkname = kind, "/etc/passwd"

    first, second = walk(tar_bytes([info, regular("b.jpg")]))

    assert isinstance(first, Member)
    assert (first.size, first.fault) == (0, fault)
    assert second == Member("b.jpg", 1024, 3)


@pytest.mark.parametrize(
    "pax", [{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s.jpg"}]
)
def test_a_sparse_file_cannot_be_read_in_place(pax: dict[str, str]) -> None:
    info = regular("GNUSparseFile.0/s.jpg", 512)
    info.pax_headers = pax

    first, second = walk(tar_bytes([info, regular("b.jpg")]))

    assert isinstance(first, Member)
    assert (first.name, first.fault) == ("s.jpg", "is a sparse file in the archive, not a file")
    assert isinstance(second, Member)
    assert second.name == "b.jpg"


def test_an_old_gnu_sparse_file_is_stepped_over_with_its_map() -> None:
    header = bytearray(regular("s.jpg", 3).tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[482] = b"S", 1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive = bytes(header) + bytes(512) + b"xyz".ljust(512, b"\0") + tar_bytes([regular("b.jpg")])

    first, second = walk(archive)

    assert first == Member("s.jpg", 1024, 3, "is a sparse file in the archive, not a file")
    assert second == Member("b.jpg", 2048, 3)


def test_a_member_beyond_the_end_of_the_archive_is_not_given() -> None:
    archive = tar_bytes([regular("a.jpg", 600), regular("b.jpg", 600)])

    found = walk(archive[:2200])

    assert found == [
        Member("a.jpg", 512, 600),
        Damage(1536, "member 'b.jpg' claims 600 bytes, and 152 are left"),
    ]


def test_an_archive_cut_short_between_two_members_is_damaged() -> None:
    archive = tar_bytes([regular("a.jpg", 600), regular("b.jpg", 600)])

    found = walk(archive[:1536])

    assert found[1] == Damage(
        1536, "the archive ends without the mark of an archive's end, so it may be cut short"
    )


def test_garbage_where_a_header_should_be_ends_the_walk_at_its_offset() -> None:
    archive = bytearray(tar_bytes([regular("a.jpg", 600), regular("b.jpg", 600)]))
    archive[1540] ^= 1

    assert walk(bytes(archive))[1] == Damage(1536, "no tar header stands there (its checksum is wrong)")


def test_an_extended_header_of_any_claimed_length_takes_no_memory() -> None:
    header = bytearray(regular("x", 2**32).tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)

    tracemalloc.start()
    (damage,) = walk_members(io.BytesIO(bytes(header)), 2**40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert damage == Damage(0, f"an extended header claims {2**32:,} bytes")
    assert peak < 2**20


@pytest.mark.parametrize(
    "records", [b"8 path=a\n", b"90 path=a\n", b"x path=a\n", b"0 path=a\n", b"10 path\n\n\n", b"-9 path=a\n"]
)
def test_a_malformed_pax_header_is_damage(records: bytes) -> None:
    header = bytearray(regular("x", len(records)).tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)

    found = walk(bytes(header) + records.ljust(512, b"\0") + tar_bytes([regular("a.jpg")]))

    assert found == [Damage(0, "a pax header is malformed")]


def test_walking_an_archive_of_many_members_takes_no_more_memory_than_one_of_few(tmp_path: Path) -> None:
    path = tmp_path / "many.tar"
    with path.open("wb") as file:
        for number in range(50_000):
            file.write(regular(f"{number:06d}.jpg", 0).tobuf(tarfile.USTAR_FORMAT))
        file.write(bytes(1024))

    with path.open("rb") as file:
        tracemalloc.start()
        count = sum(1 for _ in walk_members(file, path.stat().st_size))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert count == 50_000
    assert peak < 2**18


def test_pax_records_that_name_and_measure_nothing_are_not_kept() -> None:
    records = b"".join(_pax_record(f"GNU.sparse.x{n}", "1") for n in range(20_000))
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XGLTYPE, len(records)
    archive = header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(-(-len(records) // 512) * 512, b"\0")
    archive += tar_bytes([regular(f"{n}.jpg") for n in range(500)])
    tracemalloc.start()

    found = walk_members(io.BytesIO(archive), len(archive))
    faults = {one.fault for one in found if isinstance(one, Member)}

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert faults == {"is a sparse file in the archive, not a file"}
    assert peak < 3 * len(records)


def test_a_name_that_no_file_system_takes_is_cut_and_a_fault() -> None:
    (member,) = walk(tar_bytes([regular("n" * 100_000 + ".jpg")]))

    assert isinstance(member, Member)
    assert member == Member("n" * 4096, member.offset, 3, "its name is longer than 4,096 characters")


def test_repeated_members_are_found_by_where_they_would_be_unpacked() -> None:
    archive = tar_bytes(
        [regular("a.jpg", 1), regular("b.jpg"), regular("./a.jpg", 2), regular("c//d"), regular("c/d", 9)]
    )

    repeated = find_repeated(io.BytesIO(archive), len(archive))

    assert {path: (one.name, one.size) for path, one in repeated.items()} == {
        "a.jpg": ("./a.jpg", 2),
        "c/d": ("c/d", 9),
    }


def _pax_record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n"
    length = len(body)
    while len(f"{length}{body}") != length:
        length = len(f"{length}{body}")
    return f"{length}{body}".encode()

"""Walks the headers of an uncompressed tar, seeking over the data; memory does not grow with the archive.

POSIX ustar and pax, GNU long names and base-256 sizes, as in
https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html and GNU tar's manual, "Basic Tar Format".
Not tarfile, which keeps each header it has seen, reads extended headers of any length into memory, and takes
an archive that is cut short between two members for a whole one; the tests compare the two.
"""

from __future__ import annotations

import posixpath
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK = 512
_EXTENSION_LIMIT = 2**20  # bytes of a long name or of pax records, which are held in memory
_NAME_LIMIT = 4096  # characters; no file system takes a longer path
_MEMBERS_LIMIT = 2**24  # 8 GB of headers alone
_REPEATED_LIMIT = 2**28  # bytes that names which occur again may take
_NO_DATA = b"123456"  # links, devices, folders, pipes: a size in their header counts nothing
_REGULAR = (b"0", b"\0", b"7")
_PAX_KEYS = (b"path", b"size", b"linkpath", b"GNU.sparse.name")  # the others say nothing that matters here
_SPARSE = "GNU.sparse"
_KINDS = {b"1": "a hard link", b"2": "a symbolic link", b"5": "a folder", b"S": "a sparse file"}


@dataclass(frozen=True, slots=True)
class Member:
    r"""A member of an archive: its name, and where its bytes are.

    Bytes of a name that are not UTF-8 are written as ``\xe9``. ``fault`` says in a clause why it has no bytes
    that could be read in place, as a link or a sparse file.
    """

    name: str
    offset: int
    size: int
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Damage:
    """Where and why an archive cannot be read on."""

    offset: int
    reason: str


class _Damaged(Exception):
    """The archive cannot be read on; never leaves this module, where it becomes a :class:`Damage`."""


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so is a POSIX or GNU tar."""
    return head[257:262] == b"ustar"


def find_repeated(file: BinaryIO, size: int) -> dict[str, Member]:
    """Find the last member of each path that an archive holds more than once, as ``tar -r`` and ``-u`` write them.

    Whoever unpacks the archive is left with these, whatever stood there before.

    Args:
        file: opened for reading and seekable.
        size: of the archive in bytes.

    Returns:
        Members by :func:`member_path`. Found in two walks, of which the first holds 8 bytes a member.

    Raises:
        ValueError: there are so many that they take more than 256 MiB.
    """
    import numpy as np  # late: only archives need it

    hashes = array("q", (hash(member_path(one.name)) for one in _members(file, size)))
    ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
    doubtful = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not doubtful:
        return {}
    counts: dict[str, int] = {}
    last: dict[str, Member] = {}
    held = 0
    for one in _members(file, size):
        path = member_path(one.name)
        if hash(path) in doubtful:
            held += 0 if path in last else len(path) + 400
            if held > _REPEATED_LIMIT:
                raise ValueError("too many members have the name of another one")
            counts[path] = counts.get(path, 0) + 1
            last[path] = one
    return {path: one for path, one in last.items() if counts[path] > 1}


def member_path(name: str) -> str:
    """Normalise a member's name to the path where it is unpacked: ``./a//b.jpg`` and ``a/b.jpg`` are one file."""
    return posixpath.normpath(name).lstrip("/")


def _members(file: BinaryIO, size: int) -> Iterator[Member]:
    return (one for one in walk_members(file, size) if isinstance(one, Member))


def walk_members(file: BinaryIO, size: int) -> Iterator[Member | Damage]:
    """Stream the members of a tar in their order; after damage, a Damage is the last.

    Args:
        file: opened for reading and seekable; its position may be changed between two members.
        size: of the archive in bytes. No member that reaches beyond it is yielded.
    """
    position, count = 0, 0
    extended: dict[str, str] = {}
    everywhere: dict[str, str] = {}
    while True:
        try:
            count += 1
            if count > _MEMBERS_LIMIT:
                raise _Damaged(f"the archive holds more than {_MEMBERS_LIMIT:,} headers; split it")
            header = _read(file, position, _BLOCK, size)
            if not header.strip(b"\0"):
                return
            _check_sum(header)
            kind, start = header[156:157], position + _BLOCK
            length = _number(header[124:136])
            if kind in b"LKxg" and kind:
                data = _extension(file, start, length, size)
                if kind in b"LK":
                    extended["path" if kind == b"L" else "linkpath"] = _text(data)
                elif kind in b"xg":
                    (extended if kind == b"x" else everywhere).update(_pax_records(data))
                position = start + _padded(length)
                continue
            facts = {**everywhere, **extended}
            extended = {}
            length = _pax_size(facts, length)
            if kind == b"S":
                start = _after_sparse_map(file, header, start, size)
            name = facts.get("GNU.sparse.name") or facts.get("path") or _name(header)
            if kind in _NO_DATA:
                length = 0
            if start + length > size:
                raise _Damaged(
                    f"member {name!a} claims {length:,} bytes, and {max(size - start, 0):,} are left"
                )
            if kind != b"1" or (facts.get("linkpath") or _text(header[157:257])) != name:  # a link to itself
                yield _member(name, start, length, _fault(kind, name, facts))
            position = start + _padded(length)
        except _Damaged as damage:
            yield Damage(position, str(damage))
            return


def _member(name: str, start: int, length: int, fault: str | None) -> Member:
    if len(name) > _NAME_LIMIT:
        return Member(
            name[:_NAME_LIMIT], start, length, f"its name is longer than {_NAME_LIMIT:,} characters"
        )
    return Member(name, start, length, fault)


def _read(file: BinaryIO, offset: int, length: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        ends = "ends without the mark of an archive's end" if offset >= size else "ends within a header"
        raise _Damaged(f"the archive {ends}, so it may be cut short")
    return data


def _check_sum(header: bytes) -> None:
    summed = header[:148] + b" " * 8 + header[156:]
    stored = _number(header[148:156])
    if stored == sum(summed):
        return
    signed = sum(byte - 256 if byte > 127 else byte for byte in summed)  # some old writers
    if stored != signed:
        raise _Damaged("no tar header stands there (its checksum is wrong)")


def _number(field: bytes) -> int:
    """Parse an octal number, or GNU's base-256 one."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    try:
        if digits.startswith((b"+", b"-")) or b"_" in digits:  # which int() takes
            raise ValueError
        return int(digits or b"0", 8)
    except ValueError:
        raise _Damaged(f"a header holds {field!r} in place of a number") from None


def _pax_size(facts: dict[str, str], length: int) -> int:
    size = facts.get("size")
    if size is None:
        return length
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        raise _Damaged(f"a pax header gives {size[:40]!a} as a size")
    return int(size)


def _extension(file: BinaryIO, start: int, length: int, size: int) -> bytes:
    if length > _EXTENSION_LIMIT:
        raise _Damaged(f"an extended header claims {length:,} bytes")
    return _read(file, start, length, size)


def _pax_records(data: bytes) -> dict[str, str]:
    r"""Parse the records ``LENGTH KEY=VALUE\n`` that name or measure a member; the others do not matter."""
    records: dict[str, str] = {}
    position = 0
    while position < len(data) and data[position]:
        digits, blank, _ = data[position : position + 20].partition(b" ")
        end = position + int(digits) if blank and digits.isdigit() else 0
        key, equals, value = data[position + len(digits) + 1 : end].partition(b"=")
        if not equals or end > len(data) or not value.endswith(b"\n"):
            raise _Damaged("a pax header is malformed")
        if key in _PAX_KEYS:
            records[key.decode("ascii")] = _text(value[:-1])
        elif key.startswith(b"GNU.sparse."):
            records[_SPARSE] = ""
        position = end
    return records


def _after_sparse_map(file: BinaryIO, header: bytes, start: int, size: int) -> int:
    """Find where the data of an old GNU sparse file begins: behind the blocks that continue its map."""
    more = header[482]
    while more:
        more = _read(file, start, _BLOCK, size)[504]
        start += _BLOCK
    return start


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""  # GNU keeps times there
    return f"{prefix}/{name}" if prefix else name


def _fault(kind: bytes, name: str, facts: dict[str, str]) -> str | None:
    if kind == b"\0" and name.endswith("/"):  # a folder, before ustar
        return "is a folder in the archive, not a file"
    if _SPARSE in facts or "GNU.sparse.name" in facts:
        kind = b"S"
    return None if kind in _REGULAR else f"is {_KINDS.get(kind, 'a special file')} in the archive, not a file"


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="backslashreplace")


def _padded(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK

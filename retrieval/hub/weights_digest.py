"""Digests of a model's weights: what makes two encoders the same, whatever their folders are called.

A file in the hub's cache is a link to a blob that is named by its sha256, which the client took from the
server; it is taken at its name. Any other file is read once, and its digest kept in the user's cache folder
with its path, size and times, so that a start does not read 600 MB again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from retrieval.errors import ModelError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SETTLED_S = 2.0  # a file younger than this may still change without its modification time showing it


def weights_digest(files: Sequence[Path], cache: Path | None = None) -> str:
    """Compute the sha256 (hex) of a file, or, for several files, of their digests and names sorted by name.

    Args:
        files: at least one.
        cache: folder for known digests; None is the user's cache folder.

    Raises:
        ModelError: a file cannot be read.
    """
    digests = {file.name: file_digest(file, cache) for file in files}
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def file_digest(file: Path, cache: Path | None = None) -> str:
    """Give the sha256 (hex) of a file, taken from its blob's name or the cache where possible.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        if (blob := _blob_name(file)) is not None:
            return blob
        return remembered_digest([file], "sha256 of the file", lambda: _hash(file), cache)
    except OSError as exc:
        raise ModelError(f"{file} cannot be read: {exc.strerror}") from exc


def remembered_digest(
    files: Sequence[Path], rule: str, compute: Callable[[], str], cache: Path | None = None
) -> str:
    """Give a digest from the cache if none of its files has changed since it was computed; else compute it.

    Args:
        files: what it is computed from.
        rule: how, in words; a digest by another rule is another one.
        compute: gives the digest, a sha256 in hex.
        cache: folder for known digests; None is the user's cache folder.

    Raises:
        OSError: a file is gone.
    """
    stamps = [_stamp(file) for file in files]
    note = _note(files, rule, cache if cache is not None else _user_cache())
    known = _read_note(note, stamps)
    if known is None:
        known = compute()
        is_settled = time.time() - max(file.stat().st_mtime for file in files) > _SETTLED_S
        if is_settled and stamps == [_stamp(file) for file in files]:
            _write_note(note, {"files": stamps, "sha256": known})
    return known


def _blob_name(file: Path) -> str | None:
    """The name of the blob that a link in the hub's cache points to, if that name is a sha256."""
    if not file.is_symlink():
        return None
    target = file.resolve(strict=True)
    return target.name if target.parent.name == "blobs" and _SHA256.fullmatch(target.name) else None


def _user_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("vlsearch", appauthor=False) / "digests"


def _note(files: Sequence[Path], rule: str, cache: Path) -> Path:
    name = b"\0".join([rule.encode(), *(os.fsencode(file.resolve()) for file in files)])
    return cache / f"{hashlib.sha256(name).hexdigest()[:32]}.json"


def _stamp(file: Path) -> dict[str, str | int]:
    """Describe the state of a file: time of its last change too, which copying with all times does not keep."""
    status = file.stat()
    path = os.fsencode(file.resolve()).decode("utf-8", "backslashreplace")
    times = {"mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}
    return {"path": path, "size": status.st_size, "inode": status.st_ino, **times}


def _read_note(note: Path, stamps: list[dict[str, str | int]]) -> str | None:
    try:
        facts = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(facts, dict) or facts.get("files") != stamps:
        return None
    digest = facts.get("sha256")
    return digest if isinstance(digest, str) and _SHA256.fullmatch(digest) else None


def _write_note(note: Path, facts: dict[str, object]) -> None:
    """Keep a digest; where the cache cannot be written, the next start only reads the weights again."""
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=note.parent, suffix=".tmp")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(facts, stream)
        Path(temporary).replace(note)


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

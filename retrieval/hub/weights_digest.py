"""Digests of a model's weights: what makes two encoders the same, whatever their folders are called.

A file in the hub's cache is a link to a blob that is named by its sha256, which the client took from the
server; it is taken at its name. Any other file is read once, and its digest kept in the user's cache folder
under its path, size and modification time, so that a start does not read 600 MB again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Sequence
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
        note = _note(file, cache if cache is not None else _user_cache())
        stamp = _stamp(file)
        known = _read_note(note, stamp)
        if known is None:
            known = _hash(file)
            if stamp == _stamp(file) and time.time() - file.stat().st_mtime > _SETTLED_S:
                _write_note(note, stamp | {"sha256": known})
    except OSError as exc:
        raise ModelError(f"{file} cannot be read: {exc.strerror}") from exc
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


def _note(file: Path, cache: Path) -> Path:
    return cache / f"{hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:32]}.json"


def _stamp(file: Path) -> dict[str, str | int]:
    status = file.stat()
    path = os.fsencode(file.resolve()).decode("utf-8", "backslashreplace")
    return {"path": path, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _read_note(note: Path, stamp: dict[str, str | int]) -> str | None:
    try:
        facts = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(facts, dict) or any(facts.get(key) != value for key, value in stamp.items()):
        return None
    digest = facts.get("sha256")
    return digest if isinstance(digest, str) and _SHA256.fullmatch(digest) else None


def _write_note(note: Path, facts: dict[str, str | int]) -> None:
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

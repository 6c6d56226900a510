"""What was derived from models, in the user's cache folder: graphs of towers, tokenizers.

An entry is a folder, ``<key>/``, of ``facts.json`` and the files that it names with their sizes and sha256. It is
written under another name and renamed when it is whole. A file whose size or, where its time has changed, whose digest
is not the noted one makes the entry count as none, and so does an entry that somebody else can write to. What is mapped
into memory is therefore what was written. Whoever uses an entry touches it; the ones that were not used for longest go
when all together exceed the limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.json_files import read_object

LARGEST_BYTES = 16 * 2**30
"""Most bytes of all entries together."""
_FACTS, _FACTS_BYTES = "facts.json", 2**24
_KEY = re.compile(r"[0-9a-f]{32}")
_TEMPORARY = ".new-"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one model.

    Attributes:
        folder: of its files.
        facts: that were kept with them.
    """

    folder: Path
    facts: Mapping[str, Any]


def cache_folder() -> Path:
    """Give the folder of all entries; it need not exist."""
    from platformdirs import user_cache_path

    return user_cache_path("vlsearch", appauthor=False) / "derived"


def key_of(facts: Mapping[str, Any]) -> str:
    """Make an entry's key of all that its files depend on."""
    return hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()[:32]


def find(key: str, root: Path | None = None) -> Entry | None:
    """Find the entry of a key whose files are the ones that were written; None where there is none."""
    folder = (root or cache_folder()) / key
    try:
        _check_owner(folder)
        facts = read_object(folder / _FACTS, _FACTS_BYTES)
        for name, noted in facts["files"].items():
            _check_file(folder, name, noted)
        entry = Entry(folder, facts["kept"])
        with contextlib.suppress(OSError):  # of a cache that cannot be written to
            os.utime(folder / _FACTS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.info("%s is not used: %s", folder, error)
        return None
    return entry


def add(key: str, write: Callable[[Path], Mapping[str, Any]], root: Path | None = None) -> Entry | None:
    """Make an entry; None where the cache cannot be written to.

    Args:
        key: of the entry.
        write: given an empty folder, writes files into it and returns the facts to keep with them, JSON values.
        root: of all entries; the user's by default.
    """
    root = root or cache_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=root, ignore_cleanup_errors=True) as name:
            whole = Path(name) / key
            whole.mkdir(mode=0o700)
            kept = write(whole)
            files = {file.name: _noted(file) for file in sorted(whole.iterdir())}
            facts = {"kept": dict(kept), "files": files}
            (whole / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
            if find(key, root) is None:  # another process may have been faster
                shutil.rmtree(root / key, ignore_errors=True)
                whole.rename(root / key)
        _shrink(root, key)
    except OSError as error:
        _log.warning("%s cannot be kept, and is made again at the next start: %s", root / key, error)
        return None
    return find(key, root)


def clear(root: Path | None = None) -> int:
    """Remove all entries and what was left of unfinished ones; return how many bytes they had."""
    root = root or cache_folder()
    freed = 0
    for folder in _folders(root, unfinished=True):
        size = _size(folder)
        shutil.rmtree(folder, ignore_errors=True)
        freed += size if not folder.exists() else 0
    return freed


def size_bytes(root: Path | None = None) -> int:
    """Count the bytes of all entries."""
    return sum(map(_size, _folders(root or cache_folder(), unfinished=True)))


def _folders(root: Path, unfinished: bool = False) -> list[Path]:
    """List the folders of entries; nothing else in the cache is ever touched."""
    try:
        folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []
    return [
        folder
        for folder in folders
        if _KEY.fullmatch(folder.name) or (unfinished and folder.name.startswith(_TEMPORARY))
    ]


def _shrink(root: Path, newest: str) -> None:
    """Remove entries, the longest unused first, until all are within the limit; never the newest."""
    entries = sorted((_last_use(folder), folder, _size(folder)) for folder in _folders(root))
    total = sum(size for _, _, size in entries)
    for _, folder, size in entries:
        if total <= LARGEST_BYTES:
            return
        if folder.name != newest:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size


def _last_use(folder: Path) -> float:
    try:
        return (folder / _FACTS).stat().st_mtime
    except OSError:
        return 0.0


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _check_owner(folder: Path) -> None:
    """Refuse a folder that is a link, or that another user owns or may write to.

    Raises:
        OSError: it is not there.
        ValueError: it is one.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise ValueError("it is not a folder")
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        raise ValueError("other users may write to it")


def _check_file(folder: Path, name: str, noted: Mapping[str, Any]) -> None:
    """Check a file by its size, and by its digest where its time is not the noted one.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not the file that was written.
    """
    if Path(name).name != name:
        raise ValueError(f"{name!r} is not the name of a file")
    file = folder / name
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size != noted["size"]:
        raise ValueError(f"{name} is not the file that was written")
    if status.st_mtime_ns != noted["mtime_ns"] and _digest(file) != noted["sha256"]:
        raise ValueError(f"{name} has changed")


def _noted(file: Path) -> dict[str, int | str]:
    """Bring a file to the disk and describe it: after a power cut its size must not be right and its bytes zero."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
    status = file.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": _digest(file)}


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""Collections as a stranger's archive may hold them, and the folder of the user's own that they reach for."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

Trick = Callable[[Path, Path], None]
"""Alters the collection given first so that it reaches for the folder given second."""


def own_files(folder: Path) -> Path:
    """Files that a user would miss, some with names that a collection's files have."""
    folder.mkdir()
    for name in (
        "letter.txt",
        "12-7f3a09c1e4b2d855.faiss",
        "12-7f3a09c1e4b2d855.ids.npy",
        ".new-1-00ff00ff00ff00ff.faiss",
    ):
        (folder / name).write_text(f"{name} is my own\n")
    with closing(sqlite3.connect(folder / "accounts.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE accounts (balance INTEGER)")
        connection.execute("INSERT INTO accounts VALUES (7)")
    return folder


def segment_file(collection: Path, suffix: str) -> Path:
    return sorted(path for path in (collection / "segments").iterdir() if path.name.endswith(suffix))[0]


def _replace(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink(missing_ok=True)
    make(path)


def segments_link(collection: Path, own: Path) -> None:
    shutil.rmtree(collection / "segments")
    (collection / "segments").symlink_to(own, target_is_directory=True)


def segments_file(collection: Path, own: Path) -> None:
    shutil.rmtree(collection / "segments")
    (collection / "segments").write_text("a file")


def segments_pipe(collection: Path, own: Path) -> None:
    shutil.rmtree(collection / "segments")
    os.mkfifo(collection / "segments")


def lock_link(collection: Path, own: Path) -> None:
    _replace(collection / "writer.lock", lambda path: path.symlink_to(own / "letter.txt"))


def lock_hard_link(collection: Path, own: Path) -> None:
    _replace(collection / "writer.lock", lambda path: path.hardlink_to(own / "letter.txt"))


def lock_pipe(collection: Path, own: Path) -> None:
    _replace(collection / "writer.lock", os.mkfifo)


def catalogue_link(collection: Path, own: Path) -> None:
    _replace(collection / "catalogue.sqlite", lambda path: path.symlink_to(own / "accounts.sqlite"))


def catalogue_hard_link(collection: Path, own: Path) -> None:
    _replace(collection / "catalogue.sqlite", lambda path: path.hardlink_to(own / "accounts.sqlite"))


def catalogue_pipe(collection: Path, own: Path) -> None:
    _replace(collection / "catalogue.sqlite", os.mkfifo)


def catalogue_folder(collection: Path, own: Path) -> None:
    _replace(collection / "catalogue.sqlite", Path.mkdir)


def catalogue_nowhere(collection: Path, own: Path) -> None:
    _replace(collection / "catalogue.sqlite", lambda path: path.symlink_to(own / "new.sqlite"))


def log_link(collection: Path, own: Path) -> None:
    _replace(collection / "catalogue.sqlite-wal", lambda path: path.symlink_to(own / "letter.txt"))


def log_hard_link(collection: Path, own: Path) -> None:
    _replace(collection / "catalogue.sqlite-wal", lambda path: path.hardlink_to(own / "letter.txt"))


def shared_memory_link(collection: Path, own: Path) -> None:
    _replace(collection / "catalogue.sqlite-shm", lambda path: path.symlink_to(own / "letter.txt"))


def shared_memory_hard_link(collection: Path, own: Path) -> None:
    _replace(collection / "catalogue.sqlite-shm", lambda path: path.hardlink_to(own / "letter.txt"))


def journal_link(collection: Path, own: Path) -> None:
    (collection / "catalogue.sqlite-journal").symlink_to(own / "letter.txt")


def journal_of_another(collection: Path, own: Path) -> None:
    """A rollback journal that names a file of ours as its super-journal, which SQLite removes after playing it back."""
    name = os.fsencode(own / "letter.txt")
    magic = bytes.fromhex("d9d505f920a163d7")
    head = magic + (0).to_bytes(4, "big") + bytes(4) + (1).to_bytes(4, "big") + (512).to_bytes(4, "big")
    head += (4096).to_bytes(4, "big")
    tail = (
        (1 << 30).to_bytes(4, "big")[:0]
        + name
        + len(name).to_bytes(4, "big")
        + sum(name).to_bytes(4, "big")
        + magic
    )
    (collection / "catalogue.sqlite-journal").write_bytes(head.ljust(512, b"\0") + tail)


def vectors_link(collection: Path, own: Path) -> None:
    path = segment_file(collection, ".faiss")
    (own / "vectors").write_bytes(path.read_bytes())
    _replace(path, lambda path: path.symlink_to(own / "vectors"))


def vectors_pipe(collection: Path, own: Path) -> None:
    _replace(segment_file(collection, ".faiss"), os.mkfifo)


def ids_link(collection: Path, own: Path) -> None:
    path = segment_file(collection, ".ids.npy")
    (own / "ids").write_bytes(path.read_bytes())
    _replace(path, lambda path: path.symlink_to(own / "ids"))


def ids_pipe(collection: Path, own: Path) -> None:
    _replace(segment_file(collection, ".ids.npy"), os.mkfifo)


def ids_device(collection: Path, own: Path) -> None:
    _replace(segment_file(collection, ".ids.npy"), lambda path: path.symlink_to("/dev/zero"))


def alter(collection: Path, *statements: str) -> None:
    """Run SQL on a catalogue, with everything in SQLite that guards it off."""
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)


def names_outside(collection: Path, own: Path) -> None:
    name = f"../../{own.name}/12-7f3a09c1e4b2d855"
    alter(
        collection,
        f"UPDATE segments SET vectors_name = '{name}.faiss', ids_name = '{name}.ids.npy' WHERE id = 1",
    )


def absolute_names(collection: Path, own: Path) -> None:
    alter(collection, f"UPDATE segments SET vectors_name = '{own}/12-7f3a09c1e4b2d855.faiss' WHERE id = 1")


def names_with_nul(collection: Path, own: Path) -> None:
    alter(collection, "UPDATE segments SET ids_name = 'a' || char(0) || 'b' WHERE id = 1")


def trigger(collection: Path, own: Path) -> None:
    alter(collection, "CREATE TRIGGER t AFTER UPDATE ON settings BEGIN DELETE FROM items; END")


def view(collection: Path, own: Path) -> None:
    alter(collection, "ALTER TABLE failures RENAME TO f", "CREATE VIEW failures AS SELECT * FROM f")


def virtual_table(collection: Path, own: Path) -> None:
    alter(collection, "CREATE VIRTUAL TABLE v USING fts5(x)")


def trigger_under_a_negative_schema(collection: Path, own: Path) -> None:
    trigger(collection, own)
    alter(collection, "PRAGMA user_version = -1")


def another_index(collection: Path, own: Path) -> None:
    alter(collection, "CREATE INDEX i ON items (abs(id))")


REFUSED: list[Trick] = [
    segments_link, segments_file, segments_pipe, lock_link, lock_hard_link, lock_pipe, catalogue_link,
    catalogue_hard_link, catalogue_pipe, catalogue_folder, catalogue_nowhere, log_link, log_hard_link,
    shared_memory_link, shared_memory_hard_link, journal_link, journal_of_another, vectors_link, vectors_pipe,
    ids_link, ids_pipe, ids_device, names_outside, absolute_names, names_with_nul, trigger, view, virtual_table,
    another_index, trigger_under_a_negative_schema,
]  # fmt: skip
"""Each of them is refused by writers in a sentence; by readers too, but for those that only a writer would open."""

FOR_WRITERS_ONLY: list[Trick] = [lock_link, lock_hard_link, lock_pipe]

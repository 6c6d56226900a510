"""Mutated collections through the real command line: ``python -m tests.fuzz.collections COUNT SEED``.

No command may print a traceback, hang, die, leave a process behind, take much memory, or touch anything beside the
collection; what a command says of a fault is a sentence and an exit code.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from tests.command_line import fill_photos, save_tiny_model
from tests.fuzz import harness

MEMORY_BOUND = 3 * 2**29  # bytes resident, of which the imports alone take a third
MOST_COPIED = 2**24  # bytes: a file that was made longer, with a hole, would fill the disk as a copy
EXIT_CODES = {0, 1, 2, 3}
Mutation = Callable[[Path, random.Random, Path], None]
"""Alters a collection; the folder given last is the one that links lead to."""

NASTY_SQL = (
    "NULL", "''", "x'ff00'", "0", "-1", "1", "2", "9223372036854775807", "-9223372036854775808", "1e308", "0.5",
    "'x'", "'\u202e'", "char(0)", "'a' || char(0) || 'b'", "CAST(x'fffe' AS TEXT)", "CAST(x'eda080' AS TEXT)",
    "zeroblob(100000)", "printf('%.*c', 100000, '[')", "'[1]'", "'{'", "'{\"a\": {\"b\": [1]}}'", "'{\"a\": NaN}'",
    "'../../canary/letter.txt'", "'/etc/passwd'", "'file:///etc/passwd'", "'file:///%00'", "'file:///%ff%fe'",
    "'http://[::1'", "'file://host/x'", "'key:'", "'1+-5'", "'99999999999999999999'", "'text'", "'image'",
)  # fmt: skip
NASTY_BYTES = (
    b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", (2**40).to_bytes(8, "little"), b"\xff" * 8,
    b"IxFl", b"IwFl", b"\x93NUMPY\x02\x00", b"|O", b"SQLite format 3\0", b"True ", b"\0\0\xc0\x7f", b"\0\0\x80\x7f",
)  # fmt: skip


def _files(collection: Path, rng: random.Random) -> Path:
    """A file of a collection; the catalogue as often as all others together."""
    catalogue = collection / "catalogue.sqlite"
    others = [
        path
        for path in sorted(collection.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.stat().st_size < MOST_COPIED
    ]
    if rng.random() < 0.5 and catalogue in others:
        return catalogue
    return rng.choice(others or [catalogue])


def flip_bits(collection: Path, rng: random.Random, _: Path) -> None:
    path = _files(collection, rng)
    data = bytearray(path.read_bytes())
    for _number in range(rng.choice([1, 1, 2, 10, 100])):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def overwrite(collection: Path, rng: random.Random, _: Path) -> None:
    path = _files(collection, rng)
    data = bytearray(path.read_bytes())
    value = rng.choice([*NASTY_BYTES, rng.randbytes(64), rng.randbytes(4096)])
    start = rng.randrange(min(len(data), rng.choice([16, 64, 200, 5000, 10**6])) or 1)
    data[start : start + len(value)] = value
    path.write_bytes(data)


def cut_or_extend(collection: Path, rng: random.Random, _: Path) -> None:
    path = _files(collection, rng)
    size = path.stat().st_size
    os.truncate(
        path, rng.choice([0, 1, 44, 45, 100, size // 2, max(0, size - 1), size + 1, size + 4096, 2**36])
    )


def swap(collection: Path, rng: random.Random, _: Path) -> None:
    one, other = _files(collection, rng), _files(collection, rng)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def delete_file(collection: Path, rng: random.Random, _: Path) -> None:
    _files(collection, rng).unlink()


def delete_folder(collection: Path, rng: random.Random, _: Path) -> None:
    shutil.rmtree(collection / "segments")


def rename(collection: Path, rng: random.Random, _: Path) -> None:
    path = _files(collection, rng)
    name = f"{rng.randrange(9)}-{rng.getrandbits(64):016x}"
    path.rename(
        path.with_name(rng.choice([f"{name}.faiss", f"{name}.ids.npy", f".new-{name}.faiss", "x", " "]))
    )


def double(collection: Path, rng: random.Random, _: Path) -> None:
    path = _files(collection, rng)
    name = f"{rng.choice([0, 1, 3, 9, 10**19])}-{rng.getrandbits(64):016x}"
    shutil.copy(path, collection / "segments" / f"{name}{rng.choice(['.faiss', '.ids.npy', ''])}")


def replace_by_link(collection: Path, rng: random.Random, outside: Path) -> None:
    places = [_files(collection, rng), collection / "segments", collection / "writer.lock"]
    places += [collection / f"catalogue.sqlite{end}" for end in ("-wal", "-shm", "-journal")]
    path = rng.choice(places)
    target = rng.choice([outside, outside / "letter.txt", outside / "accounts.sqlite", outside / "nowhere"])
    target = rng.choice([target, target, target, Path("/dev/zero"), Path("/etc/passwd"), path])
    hard = target.is_file() and target.is_relative_to(outside) and rng.random() < 0.3
    _remove(path)
    if hard:
        path.hardlink_to(target)
    else:
        path.symlink_to(target)


def replace_by_pipe(collection: Path, rng: random.Random, _: Path) -> None:
    path = rng.choice([_files(collection, rng), collection / "segments", collection / "catalogue.sqlite-wal"])
    _remove(path)
    os.mkfifo(path)


def replace_by_folder(collection: Path, rng: random.Random, _: Path) -> None:
    path = _files(collection, rng)
    _remove(path)
    path.mkdir()


def alter_values(collection: Path, rng: random.Random, _: Path) -> None:
    """Any column of one row or of all rows, in the file or in a log that waits."""
    with closing(_connect(collection)) as connection:
        for _number in range(rng.choice([1, 3, 6])):
            tables = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            table = rng.choice([*tables, "settings", "segments", "items", "encoders"])
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] or ["id"]
            row = rng.choice(["1", "rowid % 2", f"rowid = {rng.randrange(1, 12)}"])
            if table in ("links", "listings"):
                row = "1"
            with suppress(sqlite3.Error):  # a value that occurs once is not given to all rows
                connection.execute(
                    f"UPDATE OR IGNORE {table} SET {rng.choice(columns)} = {rng.choice(NASTY_SQL)} WHERE {row}"
                )
        if rng.random() < 0.3:
            _leave_log(collection, connection)
    _take_log(collection)


def drop_or_double_rows(collection: Path, rng: random.Random, _: Path) -> None:
    with closing(_connect(collection)) as connection, suppress(sqlite3.Error):
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = rng.choice(tables or ["items"])
        limit = rng.choice([1, 1, 1000])
        if table in ("links", "listings") or rng.random() < 0.6:
            where = (
                "1"
                if table in ("links", "listings")
                else f"rowid IN (SELECT rowid FROM {table} LIMIT {limit})"
            )
            connection.execute(f"DELETE FROM {table} WHERE {where}")
        else:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] or ["id"]
            rest = ", ".join(columns[1:])
            connection.execute(
                f"INSERT OR IGNORE INTO {table} ({rest}) SELECT {rest} FROM {table} LIMIT {limit}"
            )


def alter_schema(collection: Path, rng: random.Random, _: Path) -> None:
    statement = rng.choice(
        [
            "PRAGMA user_version = 0",
            "PRAGMA user_version = 1",
            "PRAGMA user_version = 99",
            "PRAGMA user_version = -5",
            "PRAGMA encoding = 'UTF-16le'",
            "PRAGMA journal_mode = DELETE",
            "DROP TABLE items",
            "DROP INDEX items_by_content",
            "CREATE VIEW a AS SELECT * FROM items",
            "CREATE TRIGGER a AFTER UPDATE ON settings BEGIN DELETE FROM items; END",
            "CREATE TRIGGER a AFTER INSERT ON items BEGIN SELECT zeroblob(1000000000); END",
            "CREATE VIRTUAL TABLE a USING fts5(b)",
            "CREATE INDEX a ON items (hex(zeroblob(10000)))",
            "ALTER TABLE items ADD COLUMN b GENERATED ALWAYS AS (hex(zeroblob(1000000)))",
            "UPDATE sqlite_master SET sql = 'x' WHERE name = 'items'",
            "UPDATE sqlite_master SET rootpage = 1 WHERE name = 'items'",
            "UPDATE sqlite_master SET rootpage = 99999 WHERE name = 'segments'",
            "UPDATE sqlite_master SET name = 'b' WHERE name = 'links'",
            "UPDATE sqlite_sequence SET seq = 9223372036854775807",
            "UPDATE sqlite_sequence SET seq = 'x'",
            "DELETE FROM sqlite_sequence",
            "ANALYZE",
        ]
    )
    with closing(_connect(collection)) as connection, suppress(sqlite3.Error):
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(statement)


def foreign_catalogue(collection: Path, rng: random.Random, _: Path) -> None:
    (collection / "catalogue.sqlite").unlink()
    with closing(_connect(collection)) as connection:
        connection.execute(
            rng.choice(["CREATE TABLE places (url)", "CREATE TABLE items (id)", "PRAGMA user_version = 2"])
        )


MUTATIONS: Sequence[Mutation] = (
    flip_bits, flip_bits, overwrite, overwrite, cut_or_extend, swap, delete_file, delete_folder, rename, double,
    replace_by_link, replace_by_link, replace_by_pipe, replace_by_folder, alter_values, alter_values, alter_values,
    alter_values, drop_or_double_rows, drop_or_double_rows, alter_schema, alter_schema, foreign_catalogue,
)  # fmt: skip


LAST = (replace_by_link, replace_by_pipe, replace_by_folder)
"""After the others, which would wait for a pipe themselves, or alter what a link leads to."""


def _connect(collection: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(collection / "catalogue.sqlite", isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    return connection


def _leave_log(collection: Path, connection: sqlite3.Connection) -> None:
    """Copy the catalogue as a writer leaves it that dies: with a log that waits."""
    for end in ("", "-wal"):
        file = collection / f"catalogue.sqlite{end}"
        if file.exists() and file.stat().st_size < MOST_COPIED:
            shutil.copy(file, collection / f".left{end}")


def _take_log(collection: Path) -> None:
    for end in ("", "-wal"):
        if (collection / f".left{end}").exists():
            (collection / f".left{end}").rename(collection / f"catalogue.sqlite{end}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_template(work: Path) -> Path:
    """A collection of all that a collection can hold: both kinds, masked and hidden rows, regions, albums, tags."""
    model, photos = save_tiny_model(work / "model"), fill_photos(work / "photos")
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    template = work / "template"
    (work / "words.txt").write_text("a red square\nsomething else\na third line\n", encoding="utf-8")
    (work / "names.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    copy = Path(shutil.copy(photos / "green.png", photos / "green again.png"))
    shutil.copytree(photos, work / "elsewhere")
    made: list[list[str | Path]] = [
        ["index", photos, "--regions", "--model", model],
        ["index", work / "words.txt", "--model", model],
        ["delete", photos / "blue.png"],
        ["tag", "--vocabulary", work / "names.txt", "--min-probability", "0.01"],
        ["duplicates", "--keep", photos / "green.png", copy],
        ["hide", copy],
        ["album", "save", "squares", "a red square", "-k", "5"],
    ]
    for arguments in made:
        done = harness.run(*arguments, "--collection", template, cwd=work)
        assert done.code == 0, done.output
    return template


def readers(collection: Path, work: Path) -> list[list[str | Path]]:
    """Commands that change nothing; all succeed on the template."""
    at: list[str | Path] = ["--collection", collection]
    return [
        ["query", "a red square", "--json", *at],
        ["query", "all green", "--find", "text", "--list", *at],
        ["query", "a red square", "--words", "square", "--where", "width > 1 and folder = 'photos'", *at],
        [
            "query",
            work / "photos" / "red.png",
            "--distinct=picture",
            "--explain",
            collection.parent / "why",
            *at,
        ],
        ["similar", work / "photos" / "red.png", *at],
        ["list", "--json", "--where", "width > 1 and name contains 'red'", *at],
        ["album", "list", *at],
        ["album", "show", "squares", *at],
        ["duplicates", "--kept", *at],
        ["cluster", "-n", "2", "--vocabulary", work / "names.txt", *at],
        ["info", *at],
        ["info", "--attributes", *at],
        ["info", "--failures", *at],
        ["doctor", *at],
        ["export", collection.parent / "export", *at],
    ]


def writers(collection: Path, work: Path) -> list[list[str | Path]]:
    """Commands that change the collection; each succeeds on the template."""
    at: list[str | Path] = ["--collection", collection]
    return [
        ["index", work / "photos", *at],
        ["index", work / "photos", "--regions", *at],
        ["index", *at],
        ["index", work / "words.txt", "--prune", *at],
        ["optimize", *at],
        ["doctor", "--repair", *at],
        ["delete", work / "photos", *at],
        ["hide", work / "photos" / "red.png", *at],
        ["unhide", work / "photos", *at],
        ["tag", "--vocabulary", work / "names.txt", *at],
        ["album", "save", "more", work / "photos" / "red.png", *at],
        ["album", "delete", "squares", *at],
        ["relocate", work / "photos", work / "elsewhere", *at],
        ["reindex", "--model", work / "model", *at],
    ]


def commands(collection: Path, work: Path, rng: random.Random) -> list[list[str | Path]]:
    """Three readers, then two writers, then the doctor."""
    return [
        *rng.sample(readers(collection, work), 3),
        *rng.sample(writers(collection, work), 2),
        ["doctor", "--collection", collection],
    ]


def try_case(number: int, seed: int, work: Path, template: Path, tally: harness.Tally) -> None:
    """Mutate a copy of the template and run commands on it."""
    rng = random.Random(f"{seed}/{number}")
    folder = work / "case"
    shutil.rmtree(folder, ignore_errors=True)
    collection, canary = folder / "collection", folder / "canary"
    shutil.copytree(template, collection)
    canary.mkdir()
    (canary / "letter.txt").write_text("mine", encoding="utf-8")
    with closing(sqlite3.connect(canary / "accounts.sqlite")) as connection:
        connection.execute("CREATE TABLE accounts (balance)")
    names = []
    chosen = rng.sample(MUTATIONS, rng.choice([1, 1, 1, 2, 3]))
    for mutation in sorted(chosen, key=lambda mutation: mutation in LAST):
        names.append(mutation.__name__)
        with suppress(sqlite3.Error, OSError):  # what an earlier mutation left of a file may not be one
            mutation(collection, rng, canary)
    case = f"seed {seed} case {number} ({', '.join(names)})"
    outside = [canary, work / "photos", work / "elsewhere", work / "model", template]
    before = [harness.seal(place) for place in outside]
    for arguments in commands(collection, work, rng):
        started = time.monotonic()
        outcome = harness.run(*arguments, cwd=folder)
        tally.add(case, arguments, outcome, time.monotonic() - started)
        if outcome.code is not None and outcome.code not in EXIT_CODES:
            tally.fault(f"exit code {outcome.code}", case, f"{arguments}\n{outcome.output}")
        if outcome.memory > MEMORY_BOUND:
            tally.fault("memory", case, f"{arguments}\n{outcome.memory / 2**20:,.0f} MiB")
    if [harness.seal(place) for place in outside] != before:
        tally.fault("touched outside", case, "")
    tally.cases += 1


def main(count: int, seed: int) -> int:
    """Try so many mutated collections; 1 if anything went wrong."""
    harness.preload()
    tally = harness.Tally("collections")
    work = Path(tempfile.mkdtemp(prefix="vlsearch-fuzz-")).resolve()
    try:
        template = make_template(work)
        for number in range(count):
            try_case(number, seed, work, template, tally)
    finally:
        shutil.rmtree(work)
    return tally.finish()


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), int(sys.argv[2])))

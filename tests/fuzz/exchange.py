"""Mutated import folders through the real command line: ``python -m tests.fuzz.exchange COUNT SEED``.

An import prints no traceback, does not hang, die or take much memory, touches nothing beside its collection, and
whatever it accepts is a collection that ``doctor`` calls sound.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from tests.command_line import fill_photos, save_tiny_model
from tests.fuzz import harness

MEMORY_BOUND = 3 * 2**29  # bytes resident, of which the imports alone take a third
EXIT_CODES = {0, 1, 2, 3}
Mutation = Callable[[Path, random.Random, Path], None]
"""Alters an import folder; the folder given last is the one that links lead to."""

NASTY: tuple[Any, ...] = (
    None, "", " ", "x", "{}", "[]", "{", '{"a": NaN}', '{"a": Infinity}', '{"a": "\\ud800"}', '{"a": {"b": 1}}',
    '{"a": ["x"]}', '{"\\u0000": 1}', "[" * 100_000, '{"a":' * 5_000, "1+2", "-1+5", "0+99999999999999999999",
    "ab" * 32, "zz" * 32, "file:///a", "file:///%00", "file://host/x", "http://[::1", "https://u:p@example.org/a.jpg",
    "key:", "/etc/passwd", "/\0", "\0", "\u202e", "a" * 2_000_000, "e\u0301" * 50, "\n", "image", "../x",
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    None,
    0,
    1,
    -1,
    2**31,
    2**63 - 1,
    -(2**63),
    1.5,
    float("nan"),
    float("inf"),
    1e300,
)
COLUMNS = ("image_path", "caption", "url", "image_uri", "image_key", "image_sha256", "image_width", "image_height",
           "image_attributes", "image_stamp", "image_extent", "caption_uri", "caption_key", "caption_lang",
           "caption_attributes", "similarity", "exif", "", "a.b", "__index_level_0__")  # fmt: skip
HEADERS = (
    "{'descr': '|O', 'fortran_order': False, 'shape': (3, 16)}",
    "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 16)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -16)}",
    "(" * 9000, "-" * 9000 + "1", "__import__('os').abort()",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 16)}", "{'descr': '<f4'}", "\0" * 100,
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 16)}", "f'{1}'", "'\\d'", "",
)  # fmt: skip


def _files(folder: Path, rng: random.Random) -> Path:
    return rng.choice([path for path in sorted(folder.rglob("*")) if path.is_file()])


def _table(folder: Path) -> tuple[Path, pyarrow.Table]:
    path = next((folder / "metadata").glob("*.parquet"))
    return path, pyarrow.parquet.read_table(path)


def alter_cells(folder: Path, rng: random.Random, _: Path) -> None:
    path, table = _table(folder)
    rows = table.to_pylist()
    for _number in range(rng.choice([1, 1, 3, 10])):
        name = rng.choice(table.schema.names)
        number = pyarrow.types.is_integer(table.schema.field(name).type)
        value = rng.choice([n for n in NUMBERS if not isinstance(n, float)]) if number else rng.choice(NASTY)
        for row in rng.choice([rows, [rng.choice(rows)], rows[:2]]):
            row[name] = value
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, table.schema), path)


def alter_columns(folder: Path, rng: random.Random, _: Path) -> None:
    """Give a column another type, another name, or a namesake."""
    path, table = _table(folder)
    n = len(table)
    kinds = [
        pyarrow.array([rng.choice(NUMBERS[1:]) for _number in range(n)], pyarrow.float64()),
        pyarrow.array([b"\xff\xfe"] * n, pyarrow.binary()),
        pyarrow.array([[1, 2]] * n),
        pyarrow.array([{"a": {"b": "x"}}] * n),
        pyarrow.array([2**63] * n, pyarrow.uint64()),
        pyarrow.array([2**62] * n, pyarrow.timestamp("ns")),
        pyarrow.array([-(2**62)] * n, pyarrow.timestamp("s")),
        pyarrow.array(
            [rng.choice(["file:///a", "file:///b", ""]) for _number in range(n)]
        ).dictionary_encode(),
        pyarrow.array([True] * n),
        pyarrow.nulls(n),
        pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(n, np.int32)), ["y" * 5_000_000]),
        pyarrow.StringArray.from_buffers(
            n, *pyarrow.array([b"\xed\xa0\x80"] * n, pyarrow.binary()).buffers()[1:]
        ),
    ]
    column, name = rng.choice(kinds), rng.choice(COLUMNS)
    at = table.schema.get_field_index(name)
    replaces = at >= 0 and rng.random() < 0.8
    table = table.set_column(at, name, column) if replaces else table.append_column(name, column)
    pyarrow.parquet.write_table(table, path, compression=rng.choice(["none", "snappy", "zstd", "gzip"]))


def drop_columns(folder: Path, rng: random.Random, _: Path) -> None:
    path, table = _table(folder)
    pyarrow.parquet.write_table(
        table.drop_columns(rng.sample(table.schema.names, rng.randrange(1, 15))), path
    )


def alter_rows(folder: Path, rng: random.Random, _: Path) -> None:
    path, table = _table(folder)
    order = [rng.randrange(len(table)) for _number in range(rng.choice([0, 1, len(table), 3 * len(table)]))]
    pyarrow.parquet.write_table(table.take(order), path)


def bomb(folder: Path, rng: random.Random, _: Path) -> None:
    """Many rows that share a long text, or many columns."""
    path, _ = _table(folder)
    if rng.random() < 0.5:
        n = 100_000
        shared = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(n, np.int32)), ["y" * 1_000_000])
        table = pyarrow.table({rng.choice(["caption", "note", "image_attributes"]): shared})
        for file in folder.glob("*_emb/*.npy"):
            np.save(file, np.zeros((n, 16), np.float16))
    else:
        table = pyarrow.table({f"column {number}": ["x"] * 3 for number in range(3_000)})
    pyarrow.parquet.write_table(table, path, compression="zstd")


def alter_header(folder: Path, rng: random.Random, _: Path) -> None:
    path = rng.choice(sorted(folder.glob("*_emb/*.npy")))
    header = rng.choice(HEADERS).encode()
    version = rng.choice([1, 1, 2, 3, 9])
    length = struct.pack("<H" if version == 1 else "<I", rng.choice([len(header), len(header), 0, 60_000]))
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + header + path.read_bytes()[128:])


def alter_vectors(folder: Path, rng: random.Random, _: Path) -> None:
    path = rng.choice(sorted(folder.glob("*_emb/*.npy")))
    array = np.load(path).astype(rng.choice([np.float16, np.float32, np.float64, ">f4"]))
    with np.errstate(over="ignore", invalid="ignore"):
        array[rng.randrange(len(array))] = rng.choice([0, np.nan, np.inf, 1e-30, 1e300, -1, 1e-4, 65504])
        if rng.random() < 0.3:
            array *= rng.choice([0, 2, 1e30])
    shape = rng.choice([array, array, array[:1], array[:, :8], array.ravel(), array[None], array.T])
    np.save(path, shape)


def alter_manifest(folder: Path, rng: random.Random, _: Path) -> None:
    path = folder / "vlsearch.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    values: list[object] = [
        None,
        16.0,
        "16",
        True,
        -1,
        2**70,
        [],
        {},
        "\ud800",
        float("nan"),
        "x" * 100_000,
        1,
        2,
        ["file:///a"],
    ]
    identity = facts["identity"]
    inner = rng.choice([facts, identity, identity]) if isinstance(identity, dict) else facts  # altered twice
    inner[rng.choice([*inner, "hidden", "x"])] = rng.choice(values)
    path.write_text(json.dumps(facts), encoding="utf-8")


def flip_bits(folder: Path, rng: random.Random, _: Path) -> None:
    path = _files(folder, rng)
    data = bytearray(path.read_bytes())
    for _number in range(rng.choice([1, 1, 3, 30, 300])):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def flip_footer(folder: Path, rng: random.Random, _: Path) -> None:
    path = next((folder / "metadata").glob("*.parquet"))
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[-8:-4], "little")
    for _number in range(rng.choice([1, 2, 5])):
        data[-9 - rng.randrange(min(length, len(data) - 9))] = rng.choice(
            [0, 1, 127, 128, 255, rng.randrange(256)]
        )
    path.write_bytes(data)


def resize(folder: Path, rng: random.Random, _: Path) -> None:
    path = _files(folder, rng)
    size = path.stat().st_size
    os.truncate(path, rng.choice([0, 4, size // 2, max(0, size - 1), size + 1, 2**33]))


def replace(folder: Path, rng: random.Random, outside: Path) -> None:
    """Another kind of file in the place of one."""
    path = _files(folder, rng)
    path.unlink()
    what = rng.choice(["pipe", "folder", "nothing", "link", "bytes"])
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "link":
        path.symlink_to(
            rng.choice([outside / "letter.txt", Path("/dev/zero"), Path("/etc/passwd"), path, Path("/")])
        )
    elif what == "bytes":
        path.write_bytes(rng.choice([b"", b"PAR1PAR1", b"\xff" * 100, b"[" * 200_000, rng.randbytes(2000)]))


MUTATIONS: list[Mutation] = [
    alter_cells, alter_cells, alter_cells, alter_cells, alter_columns, alter_columns, alter_columns, drop_columns,
    alter_rows, bomb, alter_header, alter_header, alter_vectors, alter_vectors, alter_manifest, alter_manifest,
    flip_bits, flip_bits, flip_footer, flip_footer, resize, replace, replace,
]  # fmt: skip


def _turn(mutation: Mutation) -> int:
    """Those come last that others would unpack without limits, or wait for: a pipe in the place of a file."""
    return [bomb, replace].index(mutation) + 1 if mutation in (bomb, replace) else 0


NOT_THERE = (OSError, ValueError, KeyError, IndexError, StopIteration, OverflowError, pyarrow.ArrowException)
"""What a mutation ends in where an earlier one has left no such file."""


def make_template(work: Path) -> Path:
    """An export of pictures with captions, a text alone, and one more that has keys and attributes."""
    model, photos = save_tiny_model(work / "model"), fill_photos(work / "photos")
    (work / "words.txt").write_text("a red square\nsomething else\n", encoding="utf-8")
    at: list[str | Path] = ["--collection", work / "collection"]
    for corpus in (photos, work / "words.txt"):
        done = harness.run("index", corpus, "--model", model, *at, cwd=work)
        assert done.code == 0, done.output
    done = harness.run("export", work / "template", *at, cwd=work)
    assert done.code == 0, done.output
    return work / "template"


def try_case(number: int, seed: int, work: Path, template: Path, tally: harness.Tally) -> None:
    """Import a mutated copy, into a new collection or one that is there, twice; then ask the doctor."""
    rng = random.Random(f"{seed}/{number}")
    case_folder = work / "case"
    shutil.rmtree(case_folder, ignore_errors=True)
    folder, canary, collection = case_folder / "in", case_folder / "canary", case_folder / "collection"
    shutil.copytree(template, folder)
    canary.mkdir()
    (canary / "letter.txt").write_text("mine", encoding="utf-8")
    if rng.random() < 0.3:
        shutil.copytree(work / "collection", collection)
    names = []
    chosen = rng.sample(MUTATIONS, rng.choice([1, 1, 2, 3]))
    for mutation in sorted(chosen, key=_turn):
        names.append(mutation.__name__)
        with suppress(  # of a mutation before this one
            OSError,
            EOFError,
            ValueError,
            KeyError,
            IndexError,
            StopIteration,
            OverflowError,
            pyarrow.ArrowException,
        ):
            mutation(folder, rng, canary)
        if mutation is bomb:
            break  # another mutation would unpack it in this process, which has no limits
    case = f"seed {seed} case {number} ({', '.join(names)})"
    before = [harness.seal(place) for place in (canary, work / "model", template)]
    model: list[str | Path] = ["--model", work / "model"] if rng.random() < 0.5 else []
    at: list[str | Path] = ["--collection", collection]
    calls: list[list[str | Path]] = [["import", folder, *model, *at]] * 2
    for arguments in [*calls, ["doctor", *at], ["query", "a red square", *at]]:
        if not (collection / "catalogue.sqlite").exists() and arguments[0] != "import":
            break
        started = time.monotonic()
        outcome = harness.run(*arguments, cwd=case_folder)
        tally.add(case, arguments, outcome, time.monotonic() - started)
        if outcome.code is not None and outcome.code not in EXIT_CODES:
            tally.fault(f"exit code {outcome.code}", case, f"{arguments}\n{outcome.output}")
        if outcome.memory > MEMORY_BOUND:
            tally.fault("memory", case, f"{arguments}\n{outcome.memory / 2**20:,.0f} MiB")
        if outcome.code and arguments[0] == "doctor":
            tally.fault("unsound collection", case, outcome.output)
    if [harness.seal(place) for place in (canary, work / "model", template)] != before:
        tally.fault("touched outside", case, "")
    tally.cases += 1


def main(count: int, seed: int) -> int:
    """Try so many mutated folders; 1 if anything went wrong."""
    harness.preload()
    tally = harness.Tally("exchange")
    work = Path(tempfile.mkdtemp(prefix="vlsearch-fuzz-")).resolve()
    try:
        template = make_template(work)
        for number in range(count):
            try_case(number, seed, work, template, tally)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tally.finish()


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), int(sys.argv[2])))

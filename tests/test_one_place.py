"""A rule stands in one place: a second copy drifts away from the first, so the source is read for one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retrieval.suffixes import IMAGE_SUFFIXES, PARQUET_SUFFIXES

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    path
    for package in ("retrieval", "indexer")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "bundled" not in path.parts
]


def named_suffixes(node: ast.AST) -> set[str]:
    """Suffixes that stand in one value: a list, set or tuple of texts, or a text with several words."""
    words: list[str] = []
    if isinstance(node, ast.List | ast.Set | ast.Tuple):
        parts = [part.value for part in node.elts if isinstance(part, ast.Constant)]
        words = [part.removeprefix(".") for part in parts if isinstance(part, str)]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = [word.removeprefix(".") for word in node.value.replace("|", " ").replace("?", "").split()]
    return {f".{word}" for word in words}


def lists_image_suffixes(node: ast.AST) -> bool:
    return len(named_suffixes(node) & IMAGE_SUFFIXES) > 1


def lists_parquet_suffixes(node: ast.AST) -> bool:
    return named_suffixes(node) >= set(PARQUET_SUFFIXES)


def walks_tars(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name == "tarfile" for alias in node.names)
    return isinstance(node, ast.Constant) and node.value in (b"ustar", b"ustar\0")


def normalises_texts(node: ast.AST) -> bool:
    return isinstance(node, ast.Import) and any(alias.name == "unicodedata" for alias in node.names)


def looks_for_surrogates(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and "UnicodeEncodeError" in ast.dump(node.type or node)


def tolerates_lengths(node: ast.AST) -> bool:
    """A number of the size of the tolerance in a comparison, or under a name that says so."""
    if isinstance(node, ast.Compare):
        return any(isinstance(one, ast.Constant) and one.value == 1e-4 for one in ast.walk(node))
    named = isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and "TOLERANCE" in target.id for target in node.targets
    )
    return named and isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)


def tells_progress(node: ast.AST) -> bool:
    """A class with the fields, or properties, of how far a run is."""
    if not isinstance(node, ast.ClassDef):
        return False
    names = {
        part.target.id
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    } | {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    return {"done", "total"} <= names


def decodes_in_threads(node: ast.AST) -> bool:
    executors = ("ThreadPoolExecutor", "ProcessPoolExecutor", "multiprocessing")
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
    return any(name in executors for name in names)


def knows_signatures(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in (b"\xff\xd8\xff", b"GIF89a", b"\x89PNG\r\n\x1a\n")


def recognises_compression(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in (b"BZh", b"\xfd7zXZ\0")


def names_the_catalogue(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == "catalogue.sqlite"


def recognises_urls(node: ast.AST) -> bool:
    return isinstance(node, ast.Tuple) and {"http://", "https://"} <= {
        part.value for part in node.elts if isinstance(part, ast.Constant)
    }


RULES: list[tuple[str, Callable[[ast.AST], bool], str, set[str]]] = [
    (
        "which suffixes promise an image",
        lists_image_suffixes,
        'SUFFIXES = {".jpg", ".jpeg", ".png"}',
        {"retrieval/suffixes.py"},
    ),
    (
        "which suffixes promise a Parquet table",
        lists_parquet_suffixes,
        'suffix in (".parquet", ".pq")',
        {
            "retrieval/suffixes.py",
            "retrieval/corpora/left_out.py",
        },  # the latter counts files that are not read
    ),
    (
        "how an archive is walked",
        walks_tars,
        "import tarfile",
        {"retrieval/locations/tar_members.py"},
    ),
    (
        "how a text is normalised",
        normalises_texts,
        "import unicodedata",
        {"retrieval/texts.py", "retrieval/corpora/locate.py"},  # the latter tries spellings of file names
    ),
    (
        "what is not a character",
        looks_for_surrogates,
        "try:\n    name.encode()\nexcept UnicodeEncodeError:\n    pass",
        {
            "retrieval/texts.py",
            "retrieval/uris.py",  # names of files and members that are not UTF-8, as bytes
            "retrieval/cli/streams.py",  # what a terminal can show
            "retrieval/locations/parquet_worker.py",  # a process that imports nothing of ours
        },
    ),
    (
        "which rows are unit rows",
        tolerates_lengths,
        "if not abs(length - 1) <= 1e-4:\n    pass",
        {"retrieval/unit_rows.py"},
    ),
    (
        "how far a run is",
        tells_progress,
        "class Step:\n    done: int\n    total: int",
        {
            "retrieval/types/progress.py",
            "retrieval/server/index_runs.py",  # as JSON has it, with the run's end
            "indexer/shard_schedule.py",  # of shards, with the workers that were lost
        },
    ),
    (
        "how images are decoded side by side",
        decodes_in_threads,
        "from concurrent.futures import ThreadPoolExecutor",
        {
            "retrieval/collection/stores/",  # scan segments
            "retrieval/encoders/tower_encoder.py",  # passes of a tower side by side
            "retrieval/encoders/two_tower/numpy_bag.py",  # texts of a pass side by side
            "indexer/training/loop.py",  # varies images that are decoded already
            "indexer/training/batches.py",
            "retrieval/duplicates/",  # compares fingerprints
            "retrieval/server/capacity.py",  # waits for searches and for workers that decode
            "retrieval/server/index_runs.py",  # a process that indexes
            "retrieval/server/workers.py",  # processes that answer
        },
    ),
    (
        "how files of images begin",
        knows_signatures,
        'START = b"\\xff\\xd8\\xff"',
        {"retrieval/signatures.py", "retrieval/images/formats.py"},  # the latter reads on behind them
    ),
    (
        "how compressed files begin",
        recognises_compression,
        'START = b"BZh"',
        {"retrieval/corpora/corpus_path.py"},
    ),
    (
        "by which name a folder is a collection",
        names_the_catalogue,
        'MARK = "catalogue.sqlite"',
        {"retrieval/catalogue_name.py"},
    ),
    (
        "what is a URL",
        recognises_urls,
        'uri.startswith(("http://", "https://"))',
        {"retrieval/uris.py"},
    ),
]
EVERY_RULE = pytest.mark.parametrize(
    ("is_copy", "example", "places"),
    [(is_copy, example, places) for _, is_copy, example, places in RULES],
    ids=[name for name, *_ in RULES],
)


def copies(is_copy: Callable[[ast.AST], bool]) -> Iterator[str]:
    for path in SOURCES:
        tree = ast.parse(path.read_bytes())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        if any(is_copy(node) for node in ast.walk(tree) if id(node) not in docstrings):
            yield path.relative_to(ROOT).as_posix()


@EVERY_RULE
def test_a_rule_stands_in_one_place(
    is_copy: Callable[[ast.AST], bool], example: str, places: set[str]
) -> None:
    assert [copy for copy in copies(is_copy) if not copy.startswith(tuple(places))] == []


@EVERY_RULE
def test_a_second_copy_would_be_found(
    is_copy: Callable[[ast.AST], bool], example: str, places: set[str]
) -> None:
    assert any(is_copy(node) for node in ast.walk(ast.parse(example)))

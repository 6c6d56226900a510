"""Extras: which packages they bring, and the one sentence of whatever needs one that is not installed."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from retrieval.errors import ImageError, MissingExtra
from retrieval.extras import EXTRAS, is_installed, require
from retrieval.locations.fetch import read_bytes
from retrieval.locations.object_store import forget_client
from retrieval.types import CellBytes, Limits, ObjectBytes, StoredObject
from tests.command_line import Run
from tests.pdf_files import pdf
from tests.raw_files import dng
from tests.without_packages import run_without

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED: dict[str, list[str]] = PROJECT["optional-dependencies"]
IMPORTED_AS = {"pillow-jxl-plugin": "pillow_jxl"}
TORCH = (
    "indexer/training/",
    "retrieval/encoders/traceable_layers.py",
    *(f"retrieval/encoders/two_tower/{name}.py" for name in ("backbones", "fused", "model", "text_towers")),
)
"""Where torch is imported at a module's top; these are imported behind ``require("models", ...)``."""

IMPORTED_AT_ONCE = (
    (TORCH, {"torch", "torchvision"}),
    (("retrieval/server/",), {"fastapi", "mcp", "prometheus_client", "uvicorn"}),
    (
        ("retrieval/collection/postgres/", "indexer/store/postgres/", "indexer/exchange/to_server.py"),
        {"psycopg"},
    ),
)
"""What these places import at a module's top; each is imported behind a ``require`` of its extra."""


def packages(requirements: list[str]) -> set[str]:
    """Names that Python imports the packages of requirements by; those of other extras of ours left out."""
    names = {re.split(r"[\[<>=~! ]", line, maxsplit=1)[0] for line in requirements}
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names - {"vlsearch"}}


def optional_imports(path: Path) -> Iterator[str]:
    """Optional packages that a file imports when it is imported itself."""
    optional = {package for group in EXTRAS.values() for package in group}
    for node in ast.parse(path.read_bytes()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from ({name.partition(".")[0] for name in names} & optional)


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_installs_the_packages_of_the_table(extra: str) -> None:
    assert packages(DECLARED[extra]) == set(EXTRAS[extra])


def test_only_openvino_is_both_optional_and_installed_by_vlsearch_itself() -> None:
    optional = {package for group in EXTRAS.values() for package in group}

    assert packages(PROJECT["dependencies"]) & optional == {"openvino"}


def test_the_extra_of_the_tests_installs_every_other_one() -> None:
    own = next(line for line in DECLARED["test"] if line.startswith("vlsearch["))

    assert set(own[len("vlsearch[") : -1].split(",")) == set(EXTRAS) - {"openvino"}


@pytest.mark.parametrize("package", ["retrieval", "indexer"])
def test_optional_packages_are_imported_late_but_where_everything_needs_them(package: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in (ROOT / package).rglob("*.py")
        if (names := set(optional_imports(path)))
    }

    assert found
    for path, names in found.items():
        assert [names for places, allowed in IMPORTED_AT_ONCE if path.startswith(places) and names <= allowed]


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_that_lacks_a_package_is_named_in_one_sentence(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, EXTRAS[extra][-1], None)  # as if it were not installed

    assert not is_installed(extra)
    with pytest.raises(MissingExtra) as caught:
        require(extra, "flying")
    assert str(caught.value) == (
        f"flying needs an optional package; install it with: pip install 'vlsearch[{extra}]'"
    )


def test_parquet_needs_its_extra_as_a_corpus_in_exports_and_in_imports(
    run: Run, photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, table, out = tmp_path / "collection", tmp_path / "table.parquet", tmp_path / "out"
    pq.write_table(pa.table({"image": [str(photos / "red.png")]}), table)
    assert run("index", photos, "--collection", collection, "--model", model).exit_code == 0
    assert run("export", out, "--collection", collection).exit_code == 0
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    corpus = run("index", table, "--collection", tmp_path / "a", "--model", model)
    exported = run("export", tmp_path / "b", "--collection", collection)
    imported = run("import", out, "--collection", tmp_path / "c")

    for done, purpose in ((corpus, "reading Parquet"), (exported, "an export"), (imported, "an import")):
        assert done.exit_code == 1
        assert done.stderr.splitlines()[-1] == (
            f"Error: {purpose} needs an optional package; install it with: pip install 'vlsearch[parquet]'"
        )
    assert not any((tmp_path / name).exists() for name in "abc")


def test_an_image_in_a_table_that_cannot_be_read_without_the_extra_is_a_failure_of_that_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.parquet"
    pq.write_table(pa.table({"image": [b"bytes"]}), table)
    monkeypatch.setattr("retrieval.locations.parquet_process._shared", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ImageError, match=r"pip install 'vlsearch\[parquet\]'"):
        read_bytes(CellBytes(table, "image", 1), Limits())


def test_a_store_needs_its_extra_as_a_corpus_for_shards_and_for_a_picture_that_was_indexed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    forget_client()

    corpus = run("index", "s3://bucket/photos", "--collection", tmp_path / "a")
    shards = run("merge", "s3://bucket/run", "--collection", tmp_path / "b")

    for done, purpose in ((corpus, "reading s3://"), (shards, "shards in an S3 store")):
        assert (done.exit_code, done.stderr) == (
            1,
            f"Error: {purpose} needs an optional package; install it with: pip install 'vlsearch[s3]'\n",
        )
    with pytest.raises(ImageError, match=r"pip install 'vlsearch\[s3\]'"):
        read_bytes(ObjectBytes(StoredObject("bucket", "a.png")), Limits())


def test_files_that_only_a_missing_extra_reads_are_counted_with_its_name_and_taken_once_it_is_there(
    tmp_path: Path, run: Run
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.new("RGB", (64, 48), "red")
    (folder / "a.dng").write_bytes(dng(picture))
    (folder / "b.dng").write_bytes(dng(picture, orientation=3))
    (folder / "c.pdf").write_bytes(pdf("words"))
    picture.save(folder / "d.png")
    arguments: list[str | Path] = [
        "index",
        folder,
        "--collection",
        tmp_path / "collection",
        "--model",
        "mini",
    ]

    (done,), _ = run_without(("rawpy", "pypdfium2"), arguments)

    assert done.exit_code == 0
    said = done.stdout.splitlines()
    assert "left out: 2 RAW pictures, 1 PDF" in said
    assert "2 RAW pictures need vlsearch[raw]; index again after: pip install 'vlsearch[raw]'" in said
    assert "1 PDF needs vlsearch[pdf]; index again after: pip install 'vlsearch[pdf]'" in said
    assert "3 encoded, 1 unchanged, 0 failed" in run(*arguments).stdout

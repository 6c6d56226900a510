"""What modules may import (beside test_drawing.py, which has the arrows); importing is cheap and does nothing else."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"numpy", "torch", "torchvision", "transformers", "faiss", "sqlalchemy", "PIL", "pyarrow", "httpx"}


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("retrieval", "indexer"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, at its top, inside functions and for type checkers alike."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            yield node.module


ALL = list(modules())


@pytest.mark.parametrize(("part", "other"), [("collection", "encoders"), ("encoders", "collection")])
def test_collection_and_encoders_never_import_each_other(part: str, other: str) -> None:
    imported = {name for _, path in ALL if part in path.relative_to(ROOT).parts for name in imports_of(path)}

    assert imported
    assert not [name for name in imported if name.startswith(f"retrieval.{other}")]


STORES, ACCELERATORS = "retrieval.collection.stores", "retrieval.collection.accelerators"


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_only_vector_stores_and_accelerators_know_faiss_and_row_numbers(name: str, path: Path) -> None:
    if f"{name}.".startswith((f"{STORES}.", f"{ACCELERATORS}.")):
        return
    tree = ast.parse(path.read_bytes())
    columns = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_column(node)}
    statements = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]

    assert not {"faiss", f"{STORES}.segment_files", f"{STORES}.segment_store"} & set(imports_of(path))
    assert "row" not in columns
    assert not [text for text in statements if isinstance(text, str) and "encodings.row" in text]


def _is_column(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Attribute) and node.value.attr == "c"


def test_the_search_for_row_numbers_finds_those_of_the_segments() -> None:
    path = ROOT / "retrieval/collection/stores/segment_faults.py"

    found = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Attribute)]

    assert [node for node in found if node.attr == "row" and _is_column(node)]


@pytest.mark.parametrize("package", ["retrieval", "indexer"])
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    code = f"import sys, {package}; print(*sys.modules, sep='\\n')"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {name.partition(".")[0] for name in done.stdout.splitlines()} & HEAVY == set()


def test_words_are_found_without_the_packages_that_only_pictures_and_hub_models_need() -> None:
    code = "import sys, retrieval.query.engine; print(*sys.modules, sep='\\n')"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()}
    assert loaded.isdisjoint(HEAVY - {"numpy"})


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_a_module_says_what_it_is_for(name: str, path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_bytes()))


@pytest.mark.parametrize("package", ["retrieval", "indexer"])
def test_a_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.slow
def test_the_wheel_contains_just_the_two_packages(tmp_path: Path) -> None:
    pytest.importorskip(
        "setuptools", "77", reason="the build needs setuptools 77, which is not installed here"
    )
    source = tmp_path / "source"
    for package in ("retrieval", "indexer"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)

    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "-q",
            "-w",
            tmp_path,
            source,
        ],
        check=True,
    )

    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"retrieval", "indexer"}
    inside = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    expected = {name for name in inside if name.startswith(("retrieval/", "indexer/"))}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)

"""What a query in a new process imports: a fraction of a second is spent on little else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WRITE_SIDE = {"sqlalchemy"}
MODELS = {"torch", "torchvision", "transformers", "onnxruntime", "openvino"}
PICTURES = {"PIL"}
ONLY_FOR_SOME = {"faiss", "httpx", "pyarrow", "rich", "scipy"}


def modules_loaded_by(*arguments: str | Path) -> set[str]:
    """Run a command in a new process, with its output into a pipe, and give the packages that it imported."""
    code = (
        "import sys\n"
        "from retrieval.cli.start import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert ".png" in done.stdout
    return {name.partition(".")[0] for name in done.stderr.splitlines()}


@pytest.mark.parametrize("words", ["a red square", "words that the collection does not hold"])
def test_a_query_of_words_imports_neither_the_write_side_nor_a_runtime_of_pictures(
    collection: Path, words: str
) -> None:
    loaded = modules_loaded_by("query", words, "--collection", collection)

    assert loaded & (WRITE_SIDE | MODELS | PICTURES | ONLY_FOR_SOME) == set()


def test_a_query_of_an_indexed_picture_imports_no_model(collection: Path, indexed_photos: Path) -> None:
    picture = indexed_photos / "red.png"

    loaded = modules_loaded_by("query", picture, "--find", "image", "--collection", collection)

    assert loaded & (WRITE_SIDE | MODELS | PICTURES | ONLY_FOR_SOME) == set()

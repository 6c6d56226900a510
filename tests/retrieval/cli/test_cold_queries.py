"""What a query, or the index of one picture, imports in a new process: much of its time is spent on that."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from retrieval.encoders.registry import load_encoder

WRITE_SIDE = {"sqlalchemy"}
MODELS = {"torch", "torchvision", "transformers", "onnxruntime", "openvino"}
PICTURES = {"PIL"}
ONLY_FOR_SOME = {"faiss", "httpx", "pyarrow", "rich", "scipy"}


def modules_loaded_by(*arguments: str | Path) -> set[str]:
    """Run a command in a new process, with its output into a pipe, and give the packages that it imported."""
    done = run_in_a_new_process(*arguments)
    assert ".png" in done.stdout
    return packages(done)


def packages(done: subprocess.CompletedProcess[str]) -> set[str]:
    return {name.partition(".")[0] for name in done.stderr.splitlines()}


def run_in_a_new_process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\n"
        "from retrieval.cli.start import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))


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


@pytest.mark.skipif(find_spec("openvino") is None, reason="no wheel of OpenVINO for this platform")
def test_the_index_of_one_picture_imports_neither_faiss_nor_a_tokenizer_nor_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = Path(os.environ["XDG_CACHE_HOME"]) / "vlsearch" / "digests"
    monkeypatch.setattr("retrieval.hub.weights_digest._user_cache", lambda: digests)
    load_encoder("mini")  # the first process that opens a model digests and checks its tokenizer

    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 30), (200, 30, 30)).save(tmp_path / "photos" / "red.png")

    where = ("--collection", tmp_path / "collection")
    done = run_in_a_new_process("index", tmp_path / "photos", "--model", "mini", "--quiet", *where)

    loaded = packages(done)
    assert loaded & {"faiss", "tokenizers", "torch", "transformers", "PIL", "pyarrow"} == set()
    assert loaded >= {"openvino", "sqlalchemy"}

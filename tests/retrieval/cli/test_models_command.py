"""``vlsearch models``: a table whose names survive any width, and JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from retrieval.encoders.registry import BUNDLED, RECOMMENDED, load_encoder
from retrieval.query.text_cache import keep_vectors
from retrieval.testing import HashEncoder
from tests.command_line import Run


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_table_has_every_name_whole_at_any_width(run: Run, columns: str) -> None:
    done = run("models", env={"COLUMNS": columns})

    shown = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert shown[: len(RECOMMENDED) + 1] == ["model", *(model.alias for model in RECOMMENDED)]


def test_models_json_is_one_object_a_model_with_stable_keys(run: Run) -> None:
    models = [json.loads(line) for line in run("models", "--json").stdout.splitlines()]

    assert [model["alias"] for model in models] == [model.alias for model in RECOMMENDED]
    assert list(models[0]) == [
        "alias", "hub_id", "revision", "languages", "size_mb", "dimension", "licence", "published", "good_for",
        "cached",
    ]  # fmt: skip
    assert models[0]["cached"] is True


def test_the_row_of_mini_says_what_is_in_the_package() -> None:
    row = next(model for model in RECOMMENDED if model.alias == "mini")

    assert row.dimension == load_encoder("mini").identity.dimension
    assert row.size_mb == round(sum(path.stat().st_size for path in (BUNDLED / "mini").iterdir()) / 1e6)


def test_getting_the_bundled_model_prints_its_folder(run: Run) -> None:
    assert run("models", "get", "mini").stdout == f"{BUNDLED / 'mini'}\n"


def test_who_gets_a_model_and_cannot_run_it_yet_is_told_what_it_needs(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("retrieval.encoders.registry.download", lambda name, progress: tmp_path)

    assert "note" not in run("models", "get", "clip-b32").stderr

    monkeypatch.setitem(sys.modules, "torch", None)
    done = run("models", "get", "clip-b32")
    assert (done.stdout, done.exit_code) == (f"{tmp_path}\n", 0)
    assert done.stderr.endswith("note: to use it, pip install 'vlsearch[models]'\n")


def test_forget_deletes_what_is_kept_of_earlier_queries(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSEARCH_QUERY_CACHE", str(tmp_path))
    identity = HashEncoder().identity
    keep_vectors(identity, {"a dog": HashEncoder().encode_texts(["a dog"])[0]})
    (file,) = tmp_path.iterdir()

    assert run("models", "forget").stdout == f"{file} deleted\n"
    assert run("models", "forget").stdout == "nothing is kept\n"
    assert not list(tmp_path.iterdir())

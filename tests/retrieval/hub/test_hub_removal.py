"""``models remove``: a model out of the hub's cache, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from retrieval.encoders.registry import is_cached, resolve
from tests.command_line import vlsearch

REPO, ALIAS = "openai/clip-vit-base-patch16", "clip-b16"
FIRST, SECOND = "1" * 40, "2" * 40
OTHER = "google/siglip2-base-patch16-224"


def put(cache: Path, repo: str, commit: str, files: dict[str, bytes], ref: str = "") -> Path:
    """A revision as the hub's client leaves it: blobs, links to them, and perhaps a ref."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    for place in (folder / "blobs", folder / "refs", snapshot):
        place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        blob = folder / "blobs" / f"{len(content)}-{content[:4].hex()}"
        blob.write_bytes(content)
        (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
    if ref:
        (folder / "refs" / ref).write_text(commit)
    return folder


@pytest.fixture
def cached(own_cache: Path, tiny: Callable[[str], Path]) -> Path:
    """A cache with a tiny CLIP as clip-b16, in two revisions that share all but one file, and another model."""
    files = {path.name: path.read_bytes() for path in tiny("clip").iterdir() if path.is_file()}
    put(own_cache, REPO, FIRST, files, "main")
    put(own_cache, REPO, SECOND, files | {"notes.txt": b"n" * 5000}, "next")
    put(own_cache, OTHER, "3" * 40, {"config.json": b"{}"}, "main")
    return own_cache


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def remove(*arguments: str, answer: str | None = None) -> Result:
    return vlsearch("models", "remove", *arguments, input=answer)


def test_a_model_goes_whole_says_what_it_freed_and_leaves_the_others(cached: Path) -> None:
    folder = cached / "models--openai--clip-vit-base-patch16"
    size = sum(path.stat().st_size for path in (folder / "blobs").iterdir())
    other = files_of(cached / "models--google--siglip2-base-patch16-224")
    assert is_cached(resolve(ALIAS))

    done = remove(ALIAS, "--yes")

    assert done.exit_code == 0
    assert done.stdout == f"{REPO} (2 revisions, {size / 1000:,.1f} kB) removed from {cached}\n"
    assert not folder.exists()
    assert not is_cached(resolve(ALIAS))
    assert files_of(cached / "models--google--siglip2-base-patch16-224") == other


@pytest.mark.parametrize("revision", ["next", SECOND])
def test_a_revision_goes_and_the_files_that_another_one_has_stay(cached: Path, revision: str) -> None:
    done = remove(f"{REPO}@{revision}", "--yes")

    assert done.stdout == f"{REPO} (1 revision, 5.0 kB) removed from {cached}\n"
    assert is_cached(resolve(f"{REPO}@{FIRST}"))
    assert not is_cached(resolve(f"{REPO}@{SECOND}"))


@pytest.mark.parametrize("answer", ["n\n", "\n", None])
def test_nothing_goes_without_a_yes(cached: Path, answer: str | None) -> None:
    before = files_of(cached)

    done = remove(ALIAS, answer=answer)

    assert done.exit_code == 1
    assert "which other programs use too? [y/N]" in done.stderr
    assert done.stderr.endswith("Nothing was removed; --yes removes without asking.\n")
    assert files_of(cached) == before


def test_a_yes_at_the_prompt_removes(cached: Path) -> None:
    assert remove(ALIAS, answer="y\n").exit_code == 0
    assert not is_cached(resolve(ALIAS))


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("clip-b32", 1, "openai/clip-vit-base-patch32 is not in the local cache"),
        (f"{REPO}@old", 1, f"{REPO}@old is not in the local cache; of {REPO} it has {FIRST}, {SECOND}, main, next"),
        ("mini", 2, "mini is part of vlsearch and cannot be removed"),
        (".", 2, "is a folder of yours, not in the hub's cache; delete it yourself"),
        ("clip-b17", 2, "no model goes by the name 'clip-b17'"),
    ],
)  # fmt: skip
def test_what_cannot_be_removed_is_one_sentence(cached: Path, name: str, code: int, sentence: str) -> None:
    before = files_of(cached)

    done = remove(name, "--yes")

    assert (done.exit_code, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert files_of(cached) == before


def test_without_a_cache_the_sentence_says_so(own_cache: Path) -> None:
    done = remove(ALIAS, "--yes")

    assert done.exit_code == 1
    assert f"{REPO} is not in the local cache; there is no {own_cache}" in done.stderr


def test_files_that_links_lead_to_outside_the_cache_are_never_deleted(cached: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "weights.safetensors"
    elsewhere.write_bytes(b"somebody's")
    snapshot = cached / "models--openai--clip-vit-base-patch16" / "snapshots" / SECOND
    (snapshot / "extra.safetensors").symlink_to(elsewhere)

    done = remove(f"{REPO}@{SECOND}", "--yes")

    assert done.exit_code == 1
    assert f"{elsewhere} lies outside the cache" in done.stderr
    assert elsewhere.read_bytes() == b"somebody's"
    assert remove(REPO, "--yes").exit_code == 0
    assert elsewhere.read_bytes() == b"somebody's"


def test_of_a_model_whose_folder_is_a_link_only_the_link_goes(cached: Path, tmp_path: Path) -> None:
    folder = cached / "models--openai--clip-vit-base-patch16"
    moved = Path(shutil.move(folder, tmp_path / "moved"))
    folder.symlink_to(moved)
    before = files_of(moved)

    assert remove(ALIAS, "--yes").exit_code == 0

    assert not folder.is_symlink()
    assert files_of(moved) == before


def test_a_folder_that_the_hub_did_not_leave_like_this_is_not_touched(cached: Path) -> None:
    folder = cached / "models--openai--clip-vit-base-patch16"
    shutil.rmtree(folder / "snapshots")
    before = files_of(folder)

    done = remove(ALIAS, "--yes")

    assert done.exit_code == 1
    assert "look at it and delete it by hand" in done.stderr
    assert files_of(folder) == before

"""``vlsearch query --rerank``: what it prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Run


@pytest.fixture
def collection(run: Run, photos: Path, model: Path, tmp_path: Path) -> list[str | Path]:
    """The option that names a collection of three pictures."""
    options: list[str | Path] = ["--collection", tmp_path / "collection"]
    assert run("index", photos, "--model", model, *options).exit_code == 0
    return options


def test_json_has_both_ranks_and_both_scores(run: Run, collection: list[str | Path], blip: Path) -> None:
    first = run("query", "a red ball", "--find", "image", "--json", *collection)
    second = run("query", "a red ball", "--rerank", blip, "--json", *collection)

    before = {hit["id"]: hit for hit in map(json.loads, first.stdout.splitlines())}
    after = [json.loads(line) for line in second.stdout.splitlines()]
    assert second.exit_code == 0, second.output
    assert [hit["rank"] for hit in after] == [1, 2, 3]
    for hit in after:
        assert hit["score"] == before[hit["id"]]["score"]
        assert hit["second_look"]["first_rank"] == before[hit["id"]]["rank"]
    scores = [hit["second_look"]["score"] for hit in after]
    assert scores == sorted(scores, reverse=True)


def test_the_list_shows_the_new_order_with_the_first_ranks(
    run: Run, collection: list[str | Path], blip: Path
) -> None:
    paths = run("query", "a red ball", "--rerank", blip, "--paths", *collection).stdout.splitlines()
    shown = run("query", "a red ball", "--rerank", blip, "--list", *collection).stdout

    assert [shown.index(Path(path).name) for path in paths] == sorted(
        shown.index(Path(path).name) for path in paths
    )
    assert shown.count("first rank ") == 3


def test_a_page_is_cut_from_the_new_order(run: Run, collection: list[str | Path], blip: Path) -> None:
    asked = ("query", "a red ball", "--rerank", blip, "--paths", *collection)

    whole = run(*asked).stdout.splitlines()

    assert run(*asked, "-k", "1", "--offset", "1").stdout.splitlines() == whole[1:2]


def test_a_time_that_does_not_suffice_is_told_and_leaves_the_first_order(
    run: Run, collection: list[str | Path], blip: Path
) -> None:
    first = run("query", "a red ball", "--find", "image", "--json", *collection)
    second = run("query", "a red ball", "--rerank", blip, "--rerank-seconds", "1e-6", "--json", *collection)

    assert second.stdout == first.stdout
    assert "did not look at all hits within 1e-06 seconds; they stay in their first order" in second.stderr


def test_a_picture_that_cannot_be_read_again_is_counted(
    run: Run, collection: list[str | Path], blip: Path
) -> None:
    shown = run("query", "a red ball", "--rerank", blip, "--json", *collection)
    path = Path(json.loads(shown.stdout.splitlines()[0])["path"])
    path.write_bytes(b"something else")

    done = run("query", "a red ball", "--rerank", blip, "--list", *collection)

    assert done.exit_code == 0
    assert "1 picture could not be read again, and kept the place" in done.stderr
    assert "(not looked at again: its file has changed since it was indexed" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--depth", "5"], "--depth goes with --rerank"),
        (["--rerank-seconds", "5"], "--rerank-seconds goes with --rerank"),
        (["--rerank", "blip-itm", "--sort", "name"], "an order of its own"),
        (["--rerank", "blip-itm", "--find", "text"], "only pictures are re-ranked"),
        (["--rerank", "blip-itm", "--subtract", "snow"], "by one text"),
    ],
)
def test_what_does_not_go_with_a_second_look_is_a_usage_mistake(
    run: Run, collection: list[str | Path], options: list[str], sentence: str
) -> None:
    done = run("query", "a dog", *options, *collection)

    assert done.exit_code == 2
    assert sentence in done.stderr


def test_a_model_that_is_not_here_is_told_with_the_command_that_gets_it(
    run: Run, collection: list[str | Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    done = run("query", "a dog", "--rerank", "blip-itm", *collection)

    assert done.exit_code == 1
    assert "vlsearch models get blip-itm" in done.stderr
    assert "blip-itm-large" in run("models", "--task", "rerank").stdout

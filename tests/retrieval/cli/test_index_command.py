"""``vlsearch index``: what it prints, counts and exits with."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from tests.command_line import Run

COUNTS = [
    "images", "captions", "links", "encoded", "known", "unchanged", "failed", "removed", "seconds", "interrupted",
    "vanished", "left_out", "reasons", "regions", "seen",
]  # fmt: skip


def test_index_says_what_the_collection_holds_and_what_was_done(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    done = run("index", photos, "--model", model, "--collection", tmp_path / "c")

    assert done.exit_code == 0
    first, second = done.stdout.splitlines()
    assert first == f"3 images, 6 captions, 6 links in {tmp_path / 'c'}"
    assert second.startswith("9 encoded, 0 unchanged, 0 failed, ")


def test_a_second_run_encodes_nothing_and_keeps_the_model(
    run: Run, indexed_photos: Path, collection: Path
) -> None:
    done = run("index", indexed_photos)

    assert done.exit_code == 0
    assert "0 encoded, 9 unchanged, 0 failed" in done.stdout


def test_index_json_is_one_object_of_counts(run: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    done = run("index", photos, "--model", model, "--collection", tmp_path / "c", "--json")

    counts = json.loads(done.stdout)
    assert list(counts) == COUNTS
    assert [counts[name] for name in COUNTS[:8]] == [3, 6, 6, 9, 0, 0, 0, 0]
    assert counts["seen"] == 9
    assert counts["interrupted"] is False


def test_index_quiet_prints_nothing(run: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    done = run("index", photos, "--model", model, "--collection", tmp_path / "c", "--quiet")

    assert (done.exit_code, done.output) == (0, "")


def test_a_bad_picture_is_counted_named_and_costs_the_others_nothing(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")

    done = run("index", photos, "--model", model, "--collection", tmp_path / "c")

    assert done.exit_code == 0
    assert "3 images, 6 captions, 6 links" in done.stdout
    assert "1 failed" in done.stdout
    assert f"{photos / 'bad.jpg'}: not a picture in a format that is read here" in done.stdout


def test_index_strict_exits_with_1_if_an_item_failed(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    (photos / "bad.jpg").write_bytes(b"")

    done = run("index", photos, "--model", model, "--collection", tmp_path / "c", "--strict")

    assert done.exit_code == 1
    assert "the file is empty" in done.stdout


def test_failures_of_one_kind_are_one_line_and_say_where_to_see_them_all(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    for number in range(7):
        (photos / f"bad{number}.jpg").write_bytes(b"")

    done = run("index", photos, "--model", model, "--collection", tmp_path / "c")

    assert "  7  " in done.stdout
    assert f"{photos / 'bad0.jpg'} and 6 more: the file is empty\n" in done.stdout
    assert f"vlsearch info --failures --collection {tmp_path / 'c'}" in done.stdout


def test_failures_shown_are_those_of_the_corpus_at_hand(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    collection = ("--collection", tmp_path / "c")
    (photos / "empty.jpg").write_bytes(b"")
    run("index", photos, "--model", model, *collection)
    (tmp_path / "table.csv").write_text("image,caption\nnone.png,nothing\n")

    done = run("index", tmp_path / "table.csv", *collection)

    assert "1 failed" in done.stdout
    assert "none.png: cannot be read" in done.stdout
    assert "empty.jpg" not in done.stdout


def test_index_prune_drops_what_vanished(run: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    collection = ("--collection", tmp_path / "c")
    run("index", photos, "--model", model, *collection)
    (photos / "red.png").unlink()
    (photos / "red.txt").unlink()

    done = run("index", photos, "--prune", *collection)

    assert "2 images, 4 captions, 4 links" in done.stdout
    assert "3 removed" in done.stdout


def test_limits_of_size_and_pixels_are_options(run: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(photos / "large.png")
    collection = ("--model", model, "--collection")

    pixels = run("index", photos, *collection, tmp_path / "a", "--max-pixels", "10000")
    size = run("index", photos, *collection, tmp_path / "b", "--max-bytes", "20")

    assert "200x100 pixels, over the limit of 0.01 megapixels (--max-pixels)" in pixels.stdout
    assert "over the limit of 20 (--max-bytes)" in size.stdout


def test_without_a_name_the_collection_is_in_the_users_data_folder(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    data = {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path), "VLSEARCH_COLLECTION": None}

    run("index", photos, "--model", model, env=data)
    done = run("query", "a red square", "--paths", "-k", "3", env=data)

    assert sorted(done.stdout.split()) == sorted(
        str(photos / f"{name}.png") for name in ("red", "green", "blue")
    )


def test_the_note_of_a_data_set_found_in_a_folder_is_said(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    photos.rename(folder / "images")
    (folder / "captions.jsonl").write_text('{"image": "images/red.png", "caption": "red"}\n')

    done = run("index", folder, "--model", model, "--collection", tmp_path / "c")

    assert done.stdout.startswith("1 image, 1 caption, 1 link")
    assert f"reading what {folder / 'captions.jsonl'} lists" in done.stderr

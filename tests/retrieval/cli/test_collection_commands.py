"""``vlsearch info``, ``delete``, ``optimize`` and ``doctor``: what they print and exit with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Run

INFO = [
    "path", "generation", "model", "dimension", "images", "texts", "links", "contents", "failures", "sources",
    "segments", "rows", "dead", "unencoded", "hidden", "vector_bytes", "catalogue_bytes", "schema_version",
    "precision", "runtime", "left_out",
    "accelerators", "scans", "image_texts", "regions", "relative_to", "reads_text", "shard",
]  # fmt: skip


def test_info_shows_totals_model_and_sizes(run: Run, collection: Path, model: Path) -> None:
    done = run("info")

    facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert facts["collection"] == str(collection)
    assert facts["model"] == f"{model}, dimension 16"
    assert facts["items"] == "3 images, 6 texts, 6 links"
    assert facts["failures"] == "0"


def test_info_json_is_one_object_with_stable_keys(run: Run, collection: Path) -> None:
    facts = json.loads(run("info", "--json").stdout)

    assert list(facts) == INFO
    assert (facts["images"], facts["texts"], facts["links"], facts["dead"]) == (3, 6, 6, 0)


def test_info_lists_what_could_not_be_taken_and_why(
    run: Run, photos: Path, collection: Path, tmp_path: Path
) -> None:
    (photos / "empty.jpg").touch()
    run("index", photos)

    assert run("info", "--failures").stdout == f"{photos / 'empty.jpg'}: the file is empty\n"
    assert json.loads(run("info", "--failures", "--json").stdout) == {
        "uri": (photos / "empty.jpg").as_uri(),
        "reason": "the file is empty",
    }


def test_delete_takes_a_path_and_leaves_the_file(run: Run, collection: Path, indexed_photos: Path) -> None:
    red = indexed_photos / "red.png"

    done = run("delete", red)

    assert done.stdout == f"1 item deleted from {collection}\n"
    assert red.is_file()
    assert str(red) not in run("query", "red").stdout


def test_delete_says_that_the_next_index_brings_a_file_back_and_names_hide(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    said = run("delete", indexed_photos / "red.png").stderr

    assert said.count("\n") == 1
    assert "vlsearch hide" in said


def test_delete_forgets_failures_alone_too(run: Run, photos: Path, collection: Path) -> None:
    (photos / "empty.jpg").touch()
    run("index", photos)

    assert (
        run("delete", photos / "empty.jpg").stdout
        == f"0 items deleted from {collection}, 1 failure forgotten\n"
    )
    assert run("info", "--failures").stdout == ""


def test_hide_takes_a_picture_out_of_the_hits_until_unhide(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    red = indexed_photos / "red.png"

    done = run("hide", red)

    assert (
        done.stdout
        == f"1 item hidden in {collection}; show again with: vlsearch unhide {red} --collection {collection}\n"
    )
    run("index", indexed_photos)
    assert str(red) not in run("query", "red").stdout
    assert run("info", "--hidden").stdout == f"{red}\n"
    assert json.loads(run("info", "--hidden", "--json").stdout) == {
        "uri": red.as_uri(),
        "key": None,
        "kind": "image",
    }
    assert "hidden      1 item (see: vlsearch info --hidden" in run("info").stdout
    assert run("unhide", indexed_photos).stdout == f"1 item no longer hidden in {collection}\n"
    assert str(red) in run("query", "red").stdout
    assert run("info", "--hidden").stdout == ""


def test_hide_and_unhide_of_what_is_not_there_say_so_in_one_sentence(run: Run, collection: Path) -> None:
    for command in ("hide", "unhide"):
        done = run(command, "nothing")
        assert done.exit_code == 2
        assert "nothing" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert run("info", "--hidden", "--failures").stderr.startswith("Error: --failures, --hidden,")


@pytest.mark.parametrize("command", ["hide", "unhide", "delete"])
def test_names_of_nothing_are_told_and_what_the_others_mean_is_done(
    run: Run, collection: Path, indexed_photos: Path, command: str
) -> None:
    red, nothing = indexed_photos / "red.png", [f"nothing{number}" for number in range(12)]
    if command == "unhide":
        run("hide", red)

    done = run(command, *nothing, red)

    assert done.exit_code == 1
    assert done.stdout.startswith("1 item ")
    said = done.stderr.splitlines()[-1]
    assert f"under {', '.join(nothing[:10])} and 2 more; " in said
    assert str(red) not in said
    assert (str(red) in run("list").stdout) is (command == "unhide")


def test_a_name_of_nothing_that_would_move_the_cursor_is_escaped(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    said = run("hide", "a\x1b[2J", indexed_photos / "red.png").stderr

    assert "a\\x1b[2J" in said
    assert "\x1b" not in said


def test_delete_takes_a_folder_for_everything_in_it(run: Run, collection: Path, indexed_photos: Path) -> None:
    assert run("delete", indexed_photos).stdout == f"9 items deleted from {collection}\n"


def test_optimize_says_how_many_segments_there_were_and_are(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    run("delete", indexed_photos / "red.png")

    done = run("optimize")

    assert done.exit_code == 0
    assert done.stdout.endswith("segments now\n")
    assert json.loads(run("info", "--json").stdout)["dead"] == 0


def test_doctor_exits_with_0_and_says_so_if_all_is_well(run: Run, collection: Path) -> None:
    done = run("doctor")

    assert (done.exit_code, done.stdout) == (0, f"{collection} is sound\n")


def test_doctor_finds_a_flipped_byte_and_repairs_what_can_be_encoded_again(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    segment = next((collection / "segments").glob("*.faiss"))
    data = bytearray(segment.read_bytes())
    data[-3] ^= 1
    segment.write_bytes(data)

    found, repaired = run("doctor"), run("doctor", "--repair")
    again = run("index", indexed_photos)

    assert found.exit_code == 1
    assert "damage: " in found.stdout
    assert "try vlsearch doctor --repair" in found.stdout
    assert repaired.exit_code == 0
    assert again.exit_code == 0
    assert run("doctor").stdout == f"{collection} is sound\n"
    assert len(run("query", "red").stdout.splitlines()) == 3


@pytest.mark.parametrize("command", [["info"], ["query", "a dog"], ["delete", "x"], ["optimize"]])
def test_where_there_is_no_collection_a_sentence_says_how_to_make_one(
    run: Run, command: list[str], tmp_path: Path
) -> None:
    done = run(*command, "--collection", tmp_path / "none")

    assert done.exit_code == 1
    assert f"there is no collection at {tmp_path / 'none'}; make one with: vlsearch index" in done.stderr
    assert not (tmp_path / "none").exists()


def test_doctor_says_that_a_catalogue_which_is_none_is_beyond_repair(run: Run, collection: Path) -> None:
    (collection / "catalogue.sqlite").write_bytes(b"no database at all" * 100)

    found, repaired = run("doctor"), run("doctor", "--repair")

    assert (found.exit_code, repaired.exit_code) == (1, 1)
    assert "damage: SQLite cannot read catalogue.sqlite" in found.stdout
    assert f"collection {collection} is beyond repair: SQLite cannot read" in repaired.stderr
    assert "index its corpora into a new one" in repaired.stderr


def test_doctor_exits_with_3_where_it_could_not_look(run: Run, tmp_path: Path) -> None:
    assert run("doctor", "--collection", tmp_path / "none").exit_code == 3


def test_reindex_encodes_by_another_model_and_says_so(run: Run, collection: Path, other_model: Path) -> None:
    done = run("reindex", "--model", other_model)

    assert done.exit_code == 0
    assert done.stdout == f"{collection} is now encoded by {other_model}\n"
    assert json.loads(run("info", "--json").stdout)["model"] == str(other_model)
    assert len(run("query", "red").stdout.splitlines()) == 3


def test_reindex_quiet_prints_nothing(run: Run, collection: Path, other_model: Path) -> None:
    assert run("reindex", "--model", other_model, "--quiet").output == ""


def test_what_is_exported_and_imported_answers_as_the_original(
    run: Run, collection: Path, tmp_path: Path
) -> None:
    exported = run("export", tmp_path / "plain")
    imported = run("import", tmp_path / "plain", "--collection", tmp_path / "copy")

    assert exported.stdout == f"3 images, 6 texts exported to {tmp_path / 'plain'}\n"
    assert imported.stdout == f"3 images, 6 captions, 6 links imported into {tmp_path / 'copy'}\n"
    query = ("query", "a red square", "--list")
    assert run(*query, "--collection", tmp_path / "copy").stdout == run(*query).stdout


def test_export_never_writes_into_a_folder_that_holds_something(
    run: Run, collection: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()

    done = run("export", tmp_path / "full")

    assert done.exit_code == 2
    assert "is there already; export into a new folder" in done.stderr

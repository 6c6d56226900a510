"""``vlsearch query``: rank, score and captions for people, plain names for pipes, stable JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Run

HIT = [
    "rank",
    "score",
    "cosine",
    "id",
    "kind",
    "uri",
    "key",
    "text",
    "lang",
    "captions",
    "attributes",
    "texts",
    "path",
    "missing",
    "answer",
]


def test_into_a_pipe_a_query_prints_plain_paths_one_a_line(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    done = run("query", "a red square")

    assert done.exit_code == 0
    assert sorted(done.stdout.splitlines()) == [
        str(indexed_photos / f"{name}.png") for name in ("blue", "green", "red")
    ]
    assert done.stderr == ""


def test_for_people_a_query_prints_rank_score_name_and_captions(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    done = run("query", "a red square", "--list", "-k", "1")

    head, *captions = done.stdout.splitlines()
    rank, score, name, *places = head.split()
    assert rank == "1"
    assert -1 <= float(score) <= 1
    assert len(score.split(".")[1]) == 4
    colour = Path(name).stem
    assert [line.strip() for line in captions] == [f"a {colour} square", f"all {colour}"]
    assert " ".join(places).startswith("(by ")
    by_vector = run("query", "a red square", "--list", "-k", "9", "--mode", "vector").stdout
    assert f"{score}  {name}" in by_vector
    assert "(by " not in by_vector
    [words, *_] = run("query", "--words", "red square", "--list").stdout.splitlines()
    assert words.startswith("1 ")
    assert words.endswith("red.png")
    assert len(words.split()) == 2, "a score of words tells people nothing"


def test_a_picture_finds_captions_and_with_find_image_pictures(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    red = indexed_photos / "red.png"

    assert len(run("query", red).stdout.splitlines()) == 6
    assert run("query", red, "--find", "image", "-k", "1").stdout == f"{red}\n"


def test_words_find_words_with_find_text(run: Run, collection: Path) -> None:
    done = run("query", "a red square", "--find", "text", "-k", "1")

    assert done.stdout == "a red square\n"


def test_query_json_is_one_object_a_hit_with_stable_keys(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    done = run("query", indexed_photos / "red.png", "--find", "image", "--json")

    hits = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(hit) for hit in hits] == [HIT] * 3
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["path"] == str(indexed_photos / "red.png")
    assert hits[0]["uri"] == (indexed_photos / "red.png").as_uri()
    assert hits[0]["score"] == pytest.approx(1, abs=1e-5)
    assert [list(caption) for caption in hits[0]["captions"]] == [["id", "uri", "text", "lang"]] * 2


def test_many_queries_come_from_a_file_and_answers_carry_their_line(
    run: Run, collection: Path, tmp_path: Path
) -> None:
    (tmp_path / "queries.txt").write_text("a red square\n\na blue square\t-a red square\n")

    plain = run("query", "--from", tmp_path / "queries.txt", "-k", "1")
    answers = run("query", "--from", tmp_path / "queries.txt", "-k", "2", "--json")

    assert [line.split("\t")[0] for line in plain.stdout.splitlines()] == ["1", "3"]
    facts = [json.loads(line) for line in answers.stdout.splitlines()]
    assert [list(answer) for answer in facts] == [
        ["line", "query", "probability", "verdict", "mode", "hits"]
    ] * 2
    assert [(answer["line"], len(answer["hits"])) for answer in facts] == [(1, 2), (3, 2)]


@pytest.mark.parametrize("empty", ["", "\n\n"])
def test_a_file_without_a_query_is_said_to_be_one_and_pipes_get_nothing(
    run: Run, collection: Path, tmp_path: Path, empty: str
) -> None:
    (tmp_path / "queries.txt").write_text(empty)

    done = run("query", "--from", tmp_path / "queries.txt")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"{tmp_path / 'queries.txt'} holds no query; put one on each line\n"


def test_many_queries_come_from_standard_input(run: Run, collection: Path) -> None:
    done = run("query", "--from", "-", "-k", "1", input="a red square\na blue square\n")

    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["1", "2"]


def test_arguments_add_and_options_subtract(run: Run, collection: Path, indexed_photos: Path) -> None:
    red, blue = (indexed_photos / f"{name}.png" for name in ("red", "blue"))

    minus = run("query", "--json", "--find", "image", red, "--", f"-.5:{blue}")
    subtract = run("query", "--json", "--find", "image", "--add", red, "--subtract", f".5:{blue}")

    assert minus.exit_code == 0
    assert minus.stdout == subtract.stdout


def test_null_separates_paths_for_xargs(run: Run, collection: Path) -> None:
    done = run("query", "a red square", "-0")

    assert done.stdout.count("\0") == 3
    assert "\n" not in done.stdout


def test_more_hits_than_there_are_items_are_all_items(run: Run, collection: Path) -> None:
    assert len(run("query", "a red square", "-k", "1000").stdout.splitlines()) == 3


def test_words_that_are_also_a_file_are_said_to_be_words(
    run: Run, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "red").touch()
    monkeypatch.chdir(tmp_path)

    done = run("query", "red")

    assert done.exit_code == 0
    assert done.stderr == "Note: red was read as words; for the picture of that name write ./red\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ("query", "red", "--offset", "1000"),
            "there are at most 1,000 hits, and --offset passes over so many",
        ),
        (
            ("query", "red", "--words", "red", "--find", "image", "--offset", "2"),
            "there are at most 2 hits, and --offset passes over so many",
        ),
        (("query", "red", "--min-score", "0.999"), "no hit has a score of 0.999 or more"),
        (
            ("query", "red", "--min-score", "0.999", "--where", "width > 1"),
            "no hit that meets the condition has a score of 0.999 or more",
        ),
        (("query", "--words", "nothingness"), "nothing holds all of the words"),
        (("query", "red", "--where", "width > 9000"), "nothing that could be found meets the condition"),
        (
            ("similar", "red.png", "--offset", "2"),
            "there are at most 2 hits, and --offset passes over so many",
        ),
        (
            ("similar", "red.png", "--where", "width > 9000"),
            "nothing that could be found meets the condition",
        ),
        (("list", "--where", "width > 9000"), "no picture meets the condition"),
        (("list", "--offset", "3"), "there are at most 3 pictures to list, and --offset passes over so many"),
        (("list", "--kind", "text", "--where", "name = nothing.txt"), "no text meets the condition"),
        (("list", "--limit", "0"), None),
    ],
    ids=str,
)
def test_an_empty_answer_is_explained_in_a_sentence(
    run: Run,
    collection: Path,
    indexed_photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    said: str | None,
) -> None:
    monkeypatch.chdir(indexed_photos)

    done = run(*command)

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == ("" if said is None else f"Note: {said}\n")


def test_an_album_that_finds_nothing_says_why_and_a_list_of_hidden_pictures_too(
    run: Run, collection: Path, indexed_photos: Path
) -> None:
    run("album", "save", "Nothing", "red", "--where", "width > 9000")

    assert run("album", "show", "Nothing").stderr == "Note: nothing that could be found meets the condition\n"
    run("hide", indexed_photos)
    assert run("list", "--kind", "image").stderr == "Note: the collection has no pictures, or hides them\n"

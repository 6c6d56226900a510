"""``vlsearch caption`` and ``vlsearch models --task``: what they print, write and refuse."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.command_line import Run
from tests.pdf_files import pdf
from tests.videos import make_video
from tests.without_packages import ROOT


@pytest.fixture(autouse=True)
def _empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model in the hub's cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_captions_are_printed_in_the_order_of_the_pictures_and_bad_ones_have_their_reason(
    run: Run, photos: Path, tiny: Callable[[str], Path]
) -> None:
    (photos / "bad.png").write_bytes(b"not a picture")
    names = [photos / "red.png", photos / "bad.png", photos / "blue.png"]

    shown = run("caption", *names, "--model", tiny("git"))
    records = [
        json.loads(line)
        for line in run("caption", *names, "--model", tiny("git"), "--json").stdout.splitlines()
    ]

    assert shown.exit_code == 1
    assert [record["caption"] is None for record in records] == [False, True, False]
    assert shown.stdout.splitlines() == [
        f"{record['path']}: {record['caption']}" for record in records if record["caption"] is not None
    ]
    assert f"{photos / 'bad.png'}: " in shown.stderr
    assert records[1]["error"]


@pytest.fixture
def in_files(tmp_path: Path) -> Path:
    """A folder with the same second picture in a TIFF, in a tar and by itself, and a PDF and a video."""
    folder = tmp_path / "in files"
    folder.mkdir()
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("red", "blue"))
    first.save(folder / "s.tif", save_all=True, append_images=[second])
    second.save(folder / "a#b.png")
    with tarfile.open(folder / "t.tar", "w") as tar:
        tar.add(folder / "a#b.png", "in/m.png")
    (folder / "d.pdf").write_bytes(pdf("Page", 2))
    make_video(folder / "v.mp4")
    return folder


def test_a_picture_in_a_file_is_described_by_the_name_that_list_and_query_print(
    run: Run, in_files: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(in_files)
    names = ["a#b.png", "s.tif#page=2", "t.tar#in/m.png", "d.pdf#page=2", "v.mp4#t=2"]

    done = run("caption", *names, (in_files / "a#b.png").as_uri(), "--model", tiny("git"), "--json")

    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["error"] for record in records] == [None] * 6
    assert len({record["caption"] for record in records[:3]} | {records[5]["caption"]}) == 1
    assert [record["uri"].partition("/in%20files/")[2] for record in records[:5]] == [
        "a%23b.png", "s.tif#page%3D2", "t.tar#in/m.png", "d.pdf#page%3D2", "v.mp4#t%3D2",
    ]  # fmt: skip
    assert run("ask", "d.pdf#page=2", "is there a dog?", "--model", "mini").exit_code == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("t.tar#none.png", "there is no member none.png in "),
        ("none.tar#m.png", "No such file"),
        ("s.tif#page=9", ""),
        ("none#1.jpg", "No such file"),
    ],
)
def test_a_name_of_no_picture_is_told_with_the_reason(
    run: Run,
    in_files: Path,
    tiny: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    reason: str,
) -> None:
    monkeypatch.chdir(in_files)

    described = run("caption", name, "a#b.png", "--model", tiny("git"))
    asked = run("ask", name, "is there a dog?", "--model", "mini")

    assert (described.exit_code, asked.exit_code) == (1, 1)
    assert f"{name}: " in described.stderr
    assert f"{name}: " in asked.stderr
    assert reason in described.stderr
    assert reason in asked.stderr
    assert len(described.stdout.splitlines()) == 1


def test_candidates_are_printed_best_first_with_their_scores(
    run: Run, photos: Path, tiny: Callable[[str], Path]
) -> None:
    done = run("caption", photos / "red.png", "--model", tiny("git"), "--candidates", "3", "--json")

    record = json.loads(done.stdout)
    scores = [candidate["score"] for candidate in record["candidates"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert record["caption"] == record["candidates"][0]["text"]


def test_captions_of_a_collection_are_added_once_and_shown_as_a_machines(
    run: Run, photos: Path, model: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    options: list[str | Path] = ["--collection", tmp_path / "collection"]
    assert run("index", photos, "--model", model, *options).exit_code == 0

    first = run("caption", *options, "--add", "--model", tiny("git"))
    second = run("caption", *options, "--add", "--model", tiny("git"), "--json")
    hits = run("list", *options, "--json")

    assert first.exit_code == 0, first.output
    assert "3 captions written by " in first.stdout
    assert json.loads(second.stdout)["written"] == 0
    texts = [text for line in hits.stdout.splitlines() for text in json.loads(line)["texts"]]
    assert [text["origin"] for text in texts] == ["written"] * 3
    assert {text["maker"] for text in texts} == {json.loads(second.stdout)["maker"]}


def test_a_models_captions_are_evaluated_as_those_of_a_file_are(
    run: Run, photos: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    names = [photos / f"{name}.png" for name in ("red", "green", "blue")]
    file = tmp_path / "captions.jsonl"
    file.write_text(run("caption", *names, "--model", tiny("git"), "--json").stdout, encoding="utf-8")

    by_model = run("eval", photos, "--task", "caption", "--model", tiny("git"), "--json")
    by_file = run("eval", photos, "--task", "caption", "--predictions", file, "--json")

    assert by_model.exit_code == 0, by_model.output
    assert json.loads(by_model.stdout)["metrics"] == json.loads(by_file.stdout)["metrics"]


def test_without_a_model_the_bundled_one_writes_in_either_language(run: Run) -> None:
    picture = ROOT / "retrieval" / "cli" / "demo_photographs" / "chelsea.jpg"

    english = run("caption", picture)
    chinese = run("caption", picture, "--lang", "zh", "--candidates", "3", "--json")

    assert (english.exit_code, chinese.exit_code) == (0, 0), english.output
    assert re.fullmatch(r"[a-z' -]+\n", english.stdout)
    texts = [one["text"] for one in json.loads(chinese.stdout)["candidates"]]
    assert len(set(texts)) == 3
    assert all(re.fullmatch(r"[\u4e00-\u9fff]+", text) for text in texts)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name pictures to describe, or a collection with --collection PATH --add"),
        (["x.png", "--add"], "leave out pictures and --candidates"),
        (["x.png", "--model", "nothing"], "known are mini, git-base"),
        (["x.png", "--candidates", "11"], "11 is not in the range 1<=x<=10"),
    ],
)
def test_usage_mistakes_are_a_sentence_and_exit_code_2(run: Run, arguments: list[str], sentence: str) -> None:
    done = run("caption", *arguments)

    assert done.exit_code == 2
    assert sentence in done.stderr


@pytest.mark.parametrize(("task", "figure"), [("caption", "131.4"), ("ask", "78.2")])
def test_models_for_a_task_are_listed_with_size_licence_and_published_figure(
    run: Run, task: str, figure: str
) -> None:
    shown = run("models", "--task", task)
    records = [json.loads(line) for line in run("models", "--task", task, "--json").stdout.splitlines()]

    assert figure in shown.stdout
    assert all(task in record["tasks"] and record["licence"] for record in records)
    assert [record["alias"] for record in records if record["cached"]] == (
        ["mini"] if task == "caption" else []
    )

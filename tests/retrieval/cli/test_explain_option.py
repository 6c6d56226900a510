"""``query --explain``: a folder of drawn pictures and JSON, and a sheet that shows both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.command_line import fill_photos, vlsearch


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    photographs = fill_photos(folder / "photographs")
    done = vlsearch("index", photographs, "--model", model, "--collection", folder / "c", "--quiet")
    assert done.exit_code == 0, done.stderr
    return folder / "c"


def test_each_hit_has_a_picture_and_its_data(collection: Path, tmp_path: Path) -> None:
    done = vlsearch("query", "a red square", "--explain", tmp_path / "why", "--collection", collection)

    files = sorted(path.name for path in (tmp_path / "why").iterdir())
    first = json.loads(next((tmp_path / "why").glob("001-*.json")).read_text(encoding="utf-8"))
    assert done.exit_code == 0, done.stderr
    assert "3 explanations in" in done.stderr
    assert [name[:3] for name in files] == ["001", "001", "002", "002", "003", "003"]
    assert first["rank"] == 1
    assert [word["text"] for word in first["parts"][0]["words"]] == ["a", "red", "square"]
    assert first["picture"]["relevance"]["seen"]["height"] == 1
    with Image.open(next((tmp_path / "why").glob("001-*.png"))) as drawn:
        assert drawn.size == (40, 30)


def test_explaining_changes_no_hit(collection: Path, tmp_path: Path) -> None:
    plain = vlsearch("query", "a red square", "--json", "--collection", collection)

    explained = vlsearch(
        "query", "a red square", "--json", "--explain", tmp_path / "why", "--collection", collection
    )

    assert explained.stdout == plain.stdout


def test_a_sheet_shows_the_drawn_pictures_and_marks_the_words(collection: Path, tmp_path: Path) -> None:
    done = vlsearch(
        "query", "a <red> square", "--explain", tmp_path / "why", "--sheet", tmp_path / "s.html",
        "--collection", collection,
    )  # fmt: skip

    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert done.exit_code == 0, done.stderr
    assert page.count("data:image/jpeg;base64,") == 3
    assert page.count("<mark ") == 9
    assert "&lt;<mark" in page
    assert "<red>" not in page


def test_a_picture_that_is_gone_has_data_and_a_reason(collection: Path, tmp_path: Path) -> None:
    blue = collection.parent / "photographs" / "blue.png"
    data = blue.read_bytes()
    blue.unlink()

    done = vlsearch("query", "a red square", "--explain", tmp_path / "why", "--collection", collection)
    blue.write_bytes(data)

    facts = json.loads(next((tmp_path / "why").glob("*-blue.json")).read_text(encoding="utf-8"))
    assert done.exit_code == 0, done.stderr
    assert "blue.png is not drawn" in done.stderr
    assert facts["picture"] is None
    assert facts["reason"]
    assert not list((tmp_path / "why").glob("*-blue.png"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--words", "red"], "hits by words alone are not explained"),
        (["red", "--mode", "words"], "explanations are of hits of one query by meaning"),
        (["--from", "-"], "explanations are of hits of one query by meaning"),
    ],
)
def test_what_is_not_ranked_by_meaning_is_not_explained(
    collection: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = vlsearch("query", *arguments, "--explain", tmp_path / "why", "--collection", collection)

    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "why").exists()


def test_explanations_need_a_folder_that_can_be_made(collection: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    taken = vlsearch("query", "red", "--explain", tmp_path / "file", "--collection", collection)
    lost = vlsearch("query", "red", "--explain", tmp_path / "no" / "why", "--collection", collection)

    assert (taken.exit_code, lost.exit_code) == (2, 2)
    assert "is not a folder" in taken.stderr
    assert "there is no folder" in lost.stderr

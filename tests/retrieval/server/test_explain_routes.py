"""Explanations over HTTP are those of the Python API."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

import retrieval
from tests.command_line import fill_photos, vlsearch
from tests.serving import Serving, serving

ASKED = {"parts": [{"text": "a red square"}, {"text": "blue", "weight": -0.5}]}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    done = vlsearch(
        "index", fill_photos(folder / "p"), "--model", model, "--collection", folder / "c", "--quiet"
    )
    assert done.exit_code == 0, done.stderr
    return folder / "c"


@pytest.fixture(scope="module")
def explaining(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving([collection], tmp_path_factory.mktemp("cache"), hashes=False) as found:
        yield found


def test_the_answer_is_the_explanation_of_the_engine(explaining: Serving, collection: Path) -> None:
    hit = explaining.client.post("/v1/search", json={**ASKED, "k": 1}).json()["hits"][0]

    answer = explaining.client.post(f"/v1/items/{hit['id']}/explain", json=ASKED).json()

    with retrieval.open(collection) as engine:
        parts: list[retrieval.Queryable] = ["a red square", retrieval.TextPart("blue", -0.5)]
        expected = asdict(engine.explain(hit["id"], parts))
    assert answer["score"] == hit["score"] == expected["score"]
    assert answer["parts"][0]["words"] == list(expected["parts"][0]["words"])
    assert answer["picture"]["relevance"]["seen"] == expected["picture"]["relevance"]["seen"]
    assert answer["reason"] is None


def test_a_drawing_is_a_jpeg_of_the_picture(explaining: Serving) -> None:
    hit = explaining.client.post("/v1/search", json={**ASKED, "k": 1}).json()["hits"][0]

    answer = explaining.client.post(f"/v1/items/{hit['id']}/explain/drawing", json=ASKED)

    drawn = Image.open(io.BytesIO(answer.content))
    assert answer.headers["content-type"] == "image/jpeg"
    assert (drawn.format, drawn.size) == ("JPEG", (40, 30))


def test_what_cannot_be_drawn_is_told(served: Serving) -> None:
    hit = served.client.get("/v1/search", params={"text": "caption 3", "k": 1}).json()["hits"][0]

    answer = served.client.post(f"/v1/items/{hit['id']}/explain", json=ASKED).json()
    drawing = served.client.post(f"/v1/items/{hit['id']}/explain/drawing", json=ASKED)

    assert answer["picture"] is None
    assert "cannot tell where" in answer["reason"]
    assert drawing.status_code == 404
    assert drawing.json()["error"] == answer["reason"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/items/999999/explain", ASKED, 404),
        ("/v1/items/1/explain", {"parts": []}, 400),
        ("/v1/items/1/explain", {**ASKED, "k": 3}, 400),
    ],
)
def test_mistakes_have_a_status_and_a_sentence(
    explaining: Serving, path: str, body: dict[str, object], status: int
) -> None:
    answer = explaining.client.post(path, json=body)

    assert answer.status_code == status
    assert answer.json()["error"]

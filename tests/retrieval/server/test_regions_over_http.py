"""Regions over HTTP: a hit says which part of its picture was found, to programs, to the client and in lines."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from PIL import Image

import indexer
import retrieval
from retrieval.testing import HashEncoder
from tests.builders import draw
from tests.indexer.test_regions import GREY, RED, paint
from tests.serving import Serving, serving

QUARTER = [0.0, 0.0, 0.5, 0.5]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A picture with a red quarter, and one of a single colour."""
    folder = tmp_path_factory.mktemp("regions")
    paint(folder / "pictures" / "quarter.png", RED, GREY)
    draw(folder / "pictures" / "plain.png", (0, 0, 200))
    indexer.build(folder / "pictures", folder / "c", model=HashEncoder(), regions=True)
    with serving([folder / "c"], folder / "cache") as found:
        yield found


def red() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), RED).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def asked(there: Serving) -> dict[str, object]:
    uploaded = there.client.post("/v1/uploads", content=red()).json()["upload"]
    return {"parts": [{"upload": uploaded}], "find": "image"}


def test_a_hit_says_which_part_of_its_picture_was_found(there: Serving, asked: dict[str, object]) -> None:
    first = there.client.post("/v1/search", json=asked).json()["hits"][0]
    batch = there.client.post("/v1/batch", json={"searches": [asked]}).json()["answers"][0]["hits"][0]
    lines = there.client.post("/v1/search/stream", json=asked).text.splitlines()

    assert (first["name"], first["region"]) == ("quarter.png", QUARTER)
    assert batch["region"] == QUARTER
    assert json.loads(lines[1])["region"] == QUARTER


def test_whole_pictures_are_compared_where_that_is_asked(there: Serving, asked: dict[str, object]) -> None:
    hits = there.client.post("/v1/search", json=asked | {"regions": False}).json()["hits"]

    assert len(hits) == 2
    assert all("region" not in hit for hit in hits)


def test_the_client_gives_the_region_that_an_engine_gives(there: Serving) -> None:
    picture = Image.new("RGB", (8, 8), RED)
    with (
        retrieval.connect(there.url) as far,
        retrieval.open(next(iter(there.collections)).engine.collection.path, encoder=HashEncoder()) as near,
    ):
        found = [
            [(hit.id, hit.score, hit.region) for hit in engine.search(picture, 2, "image")]
            for engine in (far, near)
        ]

    assert found[0] == found[1]
    assert found[0][0][2] == tuple(QUARTER)

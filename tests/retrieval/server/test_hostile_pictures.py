"""Pictures that are something else as well, and uploads that would fill the memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

import indexer
from retrieval.query.pictures import media_type
from retrieval.server.settings import ServerSettings
from retrieval.testing import HashEncoder
from tests.serving import Serving, serving

pytestmark = pytest.mark.usefixtures("goes_on")


def test_an_svg_or_a_page_under_a_pictures_name_is_never_given_out(tmp_path: Path) -> None:
    for name, data in {
        "a.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "a.jpg": b"<html><script>alert(1)</script></html>",
        "a.gif": b"GIF89a/*<svg/onload=alert(1)>*/=1;",
        "a.png": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    }.items():
        assert media_type(data) in (None, "image/gif"), name
    (tmp_path / "album").mkdir()
    (tmp_path / "album/a.jpg").write_bytes(b"<html><script>alert(1)</script></html>")
    Image.new("RGB", (9, 9)).save(tmp_path / "album/b.png")
    indexer.build(tmp_path / "album", tmp_path / "photos", model=HashEncoder())
    with serving([tmp_path / "photos"], tmp_path / "cache") as served:
        (hit,) = served.client.get("/v1/search", params={"text": "x"}).json()["hits"]
        Path(hit["path"]).write_bytes(
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
        )

        assert served.client.get(f"/v1/items/{hit['id']}/picture").status_code == 404


def test_a_picture_that_is_also_a_page_runs_nothing(tmp_path: Path) -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("c", "<html><script>alert(1)</script>")
    (tmp_path / "album").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "album/b.png", pnginfo=note)
    indexer.build(tmp_path / "album", tmp_path / "photos", model=HashEncoder())
    with serving([tmp_path / "photos"], tmp_path / "cache") as served:
        (hit,) = served.client.get("/v1/search", params={"text": "x"}).json()["hits"]

        answer = served.client.get(f"/v1/items/{hit['id']}/picture")

    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].endswith("sandbox")


def test_a_name_with_line_feeds_and_quotes_cannot_end_a_header(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    name = 'a\r\nSet-Cookie: x=1\r\n\r\n";é.png'
    Image.new("RGB", (9, 9)).save(tmp_path / "album" / name)
    indexer.build(tmp_path / "album", tmp_path / "photos", model=HashEncoder())
    with serving([tmp_path / "photos"], tmp_path / "cache") as served:
        (hit,) = served.client.get("/v1/search", params={"text": "x"}).json()["hits"]

        answer = served.client.get(f"/v1/items/{hit['id']}/picture")

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "\n" not in answer.headers["content-disposition"]


def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(
    served: Serving, tmp_path: Path
) -> None:
    Image.new("1", (15_000, 15_000)).save(tmp_path / "bomb.png")

    answer = served.client.post("/v1/uploads", content=(tmp_path / "bomb.png").read_bytes())

    assert answer.status_code == 400
    assert "pixels" in answer.json()["error"]


def test_uploads_are_forgotten_when_others_need_their_room(album: Path, tmp_path: Path) -> None:
    pictures = [path.read_bytes() for path in sorted((album.parent / "album").glob("*.jpg"))]
    with serving([album], tmp_path, ServerSettings(port=0, kept_bytes=3 * max(map(len, pictures)))) as small:
        names = [small.client.post("/v1/uploads", content=data).json()["upload"] for data in pictures]

        first = small.client.get(f"/v1/uploads/{names[0]}/thumbnail")
        last = small.client.get(f"/v1/uploads/{names[-1]}/thumbnail")

    assert first.json() == {"error": "the picture is not here any more; send it again"}
    assert last.status_code == 200

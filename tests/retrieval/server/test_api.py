"""The HTTP API answers what the Python API answers, in the JSON of the command line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import indexer
import retrieval
from retrieval.answers import hit_facts
from retrieval.query.thumbnail_cache import ThumbnailCache
from retrieval.testing import HashEncoder
from tests.serving import Serving, album_collection, serving


def hits_of(answer: Any) -> list[tuple[int, float]]:
    return [(hit["id"], hit["score"]) for hit in answer["hits"]]


def ids(served: Serving, kind: str = "image") -> list[int]:
    found = served.client.get("/v1/search", params={"text": "any", "find": kind, "k": 1000}).json()["hits"]
    return sorted(hit["id"] for hit in found)


def named(served: Serving, name: str) -> int:
    found = served.client.get("/v1/search", params={"text": "any", "find": "image", "k": 1000}).json()["hits"]
    return int(next(hit["id"] for hit in found if hit["name"] == name))


def test_words_find_what_the_engine_finds(served: Serving, album: Path) -> None:
    answer = served.client.get("/v1/search", params={"text": "caption 3", "k": 5}).json()

    with retrieval.open(album, encoder=HashEncoder()) as engine:
        expected = engine.search("caption 3", k=5)
    assert hits_of(answer) == [(hit.id, hit.score) for hit in expected]
    assert answer["generation"] == 1
    assert answer["collection"] == "photos"


def test_a_hit_has_the_fields_of_the_command_lines_json_and_what_a_page_needs(
    served: Serving, album: Path
) -> None:
    (hit,) = served.client.get("/v1/search", params={"text": "caption 3", "k": 1}).json()["hits"]

    with retrieval.open(album, encoder=HashEncoder()) as engine:
        facts = hit_facts(engine.search("caption 3", k=1)[0])
    more = set(hit) - set(facts)
    assert more == {"name", "moment", "width", "height", "version"}
    lists = {name: list(facts[name]) for name in ("captions", "texts")}  # type: ignore[call-overload]
    assert {name: hit[name] for name in facts} == {**facts, **lists}
    with Image.open(hit["path"]) as image:
        assert (hit["width"], hit["height"]) == image.size


def test_a_sum_of_words_items_and_an_uploaded_picture_is_that_of_the_engine(
    served: Serving, album: Path
) -> None:
    picture, item = (album.parent / "album/picture 2.jpg").read_bytes(), ids(served)[4]
    upload = served.client.post("/v1/uploads", content=picture).json()["upload"]
    parts = [{"text": "caption 1"}, {"item": item, "weight": 2}, {"upload": upload, "weight": -0.5}]

    answer = served.client.post("/v1/search", json={"parts": parts, "k": 4, "find": "text"}).json()

    with retrieval.open(album, encoder=HashEncoder()) as engine:
        query = (
            retrieval.TextPart("caption 1"),
            retrieval.ItemPart(item, 2.0),
            retrieval.ImagePart(picture, -0.5),
        )
        expected = engine.search(retrieval.Query(query), k=4, find="text")
    assert hits_of(answer) == [(hit.id, hit.score) for hit in expected]


def test_what_a_sentence_excludes_is_subtracted_and_the_answer_says_how_it_was_read(served: Serving) -> None:
    read = served.client.get("/v1/search", params={"text": "a dog without a ball"}).json()
    literal = served.client.get("/v1/search", params={"text": "a dog without a ball", "literal": True}).json()

    assert read["readings"] == [{"wanted": "a dog", "unwanted": ["a ball"]}]
    assert literal["readings"] == []
    assert hits_of(read) != hits_of(literal)


def test_pages_join_to_the_whole_answer_without_gap_or_repeat(served: Serving) -> None:
    whole = served.client.get("/v1/search", params={"text": "caption 5", "k": 1000}).json()

    pages, at = [], 0
    while at is not None:
        page = served.client.get("/v1/search", params={"text": "caption 5", "k": 4, "offset": at}).json()
        pages += page["hits"]
        at = page["next"]

    assert pages == whole["hits"]
    assert [hit["rank"] for hit in pages] == list(range(1, len(pages) + 1))


def test_a_page_of_a_state_that_is_gone_is_refused_with_a_sentence(served: Serving) -> None:
    answer = served.client.post("/v1/search", json={"parts": [{"text": "a"}], "offset": 4, "generation": 77})

    assert answer.status_code == 409
    assert answer.json() == {
        "error": "the collection has changed since the first page; search again from the beginning"
    }


def test_what_is_like_an_item_leaves_it_out_and_needs_no_encoder(served: Serving, album: Path) -> None:
    item = ids(served)[3]

    answer = served.client.get(f"/v1/items/{item}/similar", params={"k": 6}).json()

    with retrieval.open(album, encoder=HashEncoder()) as engine:
        assert hits_of(answer) == [(hit.id, hit.score) for hit in engine.similar(item, k=6)]
    assert item not in [hit["id"] for hit in answer["hits"]]


def test_an_item_comes_with_its_captions_and_its_size(served: Serving) -> None:
    item = named(served, "picture 2.jpg")

    found = served.client.get(f"/v1/items/{item}").json()

    assert (found["id"], found["width"], found["height"], found["missing"]) == (item, 480, 300, False)
    assert [caption["text"] for caption in found["captions"]] == ["caption 2"]


def test_an_original_is_the_bytes_that_were_indexed(served: Serving, album: Path) -> None:
    hit = served.client.get("/v1/search", params={"text": "caption 3", "k": 1}).json()["hits"][0]

    answer = served.client.get(f"/v1/items/{hit['id']}/picture")

    assert answer.content == Path(hit["path"]).read_bytes()
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"].startswith("inline; filename*=UTF-8''picture%20")


@pytest.mark.parametrize(("size", "expected"), [(240, (320, 240)), (480, (400, 300)), (1600, (400, 300))])
def test_thumbnails_are_webp_of_the_size_asked_for_and_never_enlarged(
    served: Serving, size: int, expected: tuple[int, int]
) -> None:
    item = named(served, "picture 0.jpg")

    answer = served.client.get(f"/v1/items/{item}/thumbnail", params={"size": size})

    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size) == ("WEBP", expected)


def test_a_thumbnail_named_with_its_version_may_be_kept_for_ever_and_one_without_is_asked_for_again(
    served: Serving,
) -> None:
    item = ids(served)[1]
    version = served.client.get(f"/v1/items/{item}").json()["version"]

    named = served.client.get(f"/v1/items/{item}/thumbnail", params={"version": version})
    plain = served.client.get(f"/v1/items/{item}/thumbnail")
    again = served.client.get(f"/v1/items/{item}/thumbnail", headers={"If-None-Match": plain.headers["etag"]})

    assert "immutable" in named.headers["cache-control"]
    assert "no-cache" in plain.headers["cache-control"]
    assert (again.status_code, again.content) == (304, b"")


def test_a_bmp_has_a_thumbnail_and_no_original(served: Serving) -> None:
    bmp = named(served, "old.bmp")

    original = served.client.get(f"/v1/items/{bmp}/picture")

    assert original.status_code == 415
    assert original.json() == {
        "error": "browsers do not show this format; ask for its thumbnail of size 1600"
    }
    assert served.client.get(f"/v1/items/{bmp}/thumbnail").headers["content-type"] == "image/webp"


def test_an_answer_that_the_client_has_already_is_not_sent_again_until_the_collection_changes(
    tmp_path: Path,
) -> None:
    path = album_collection(tmp_path)
    with serving([path], tmp_path / "cache") as served:
        first = served.client.get("/v1/search", params={"text": "caption 1"})
        same = served.client.get(
            "/v1/search", params={"text": "caption 1"}, headers={"If-None-Match": first.headers["etag"]}
        )
        indexer.delete(path, [str(tmp_path / "album/picture 1.jpg")])
        changed = served.client.get(
            "/v1/search", params={"text": "caption 1"}, headers={"If-None-Match": first.headers["etag"]}
        )

    assert (same.status_code, same.content) == (304, b"")
    assert changed.status_code == 200
    assert changed.json()["generation"] == first.json()["generation"] + 1
    assert len(changed.json()["hits"]) == len(first.json()["hits"]) - 1


def test_a_file_that_has_changed_since_it_was_indexed_is_not_given_out(tmp_path: Path) -> None:
    path = album_collection(tmp_path)
    with serving([path], tmp_path / "cache") as served:
        hit = served.client.get("/v1/search", params={"text": "caption 3", "k": 1}).json()["hits"][0]
        Image.new("RGB", (50, 50), (9, 9, 9)).save(hit["path"])

        answers = [served.client.get(f"/v1/items/{hit['id']}/{form}") for form in ("picture", "thumbnail")]

    for answer in answers:
        assert answer.status_code == 404
        assert answer.json()["error"].endswith(
            "its file has changed since it was indexed; index its corpus again"
        )


def test_a_hidden_item_is_not_given_out_in_any_form(tmp_path: Path) -> None:
    path = album_collection(tmp_path)
    with serving([path], tmp_path / "cache") as served:
        hit = served.client.get("/v1/search", params={"text": "caption 3", "k": 1}).json()["hits"][0]
        indexer.hide(path, [hit["path"]])

        answers = [
            served.client.get(f"/v1/items/{hit['id']}{form}") for form in ("", "/picture", "/thumbnail")
        ]
        similar = served.client.get(f"/v1/items/{hit['id']}/similar")

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert similar.status_code == 400


def test_several_collections_are_asked_by_name_and_the_first_without_one(tmp_path: Path) -> None:
    first, second = album_collection(tmp_path / "a"), album_collection(tmp_path / "b")
    indexer.delete(second, [str(tmp_path / "b/album/picture 1.jpg")])
    with serving([first, second], tmp_path / "cache") as served:
        listed = served.client.get("/v1/collections").json()["collections"]
        plain = served.client.get("/v1/info").json()
        named = served.client.get("/v1/info", params={"collection": "photos-2"}).json()
        unknown = served.client.get("/v1/info", params={"collection": "other"})

    assert [(one["name"], one["images"]) for one in listed] == [("photos", 13), ("photos-2", 12)]
    assert (plain["name"], named["images"]) == ("photos", 12)
    assert unknown.status_code == 404
    assert unknown.json() == {"error": "there is no collection of that name here"}


def test_a_file_is_called_by_its_whole_name_as_in_conditions(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "album" / "a#b.jpg")
    indexer.build(tmp_path / "album", tmp_path / "photos", model=HashEncoder())
    with serving([tmp_path / "photos"], tmp_path / "cache") as served:
        (hit,) = served.client.get("/v1/items", params={"where": 'name = "a#b.jpg"'}).json()["hits"]
        picture = served.client.get(f"/v1/items/{hit['id']}/picture")

    assert hit["name"] == "a#b.jpg"
    assert picture.headers["content-disposition"].endswith("''a%23b.jpg")


def test_a_condition_narrows_a_search_and_a_list_as_it_does_in_python(served: Serving, album: Path) -> None:
    where = "taken in 2021 and camera = 'Camera A'"

    found = served.client.get(
        "/v1/search", params={"text": "caption 1", "find": "image", "where": where}
    ).json()
    listed = served.client.get("/v1/items", params={"where": where}).json()
    first = served.client.get("/v1/items", params={"where": where, "k": 1}).json()
    second = served.client.get("/v1/items", params={"where": where, "k": 1, "before": first["next"]}).json()

    with retrieval.open(album, encoder=HashEncoder()) as engine:
        expected = engine.search("caption 1", k=50, find="image", where=where)
    assert hits_of(found) == [(hit.id, hit.score) for hit in expected]
    assert {hit["name"] for hit in listed["hits"]} == {"picture 4.jpg", "picture 10.jpg"}
    assert first["hits"] + second["hits"] == listed["hits"]


def test_hits_come_in_the_order_and_above_the_score_that_are_asked_for(served: Serving) -> None:
    asked = {"text": "caption 1", "find": "image"}

    newest = served.client.get("/v1/search", params=asked | {"sort": "taken"}).json()["hits"]
    good = served.client.get("/v1/search", params=asked | {"min_score": 0.2}).json()["hits"]

    taken = [str(hit["attributes"].get("taken", "")) for hit in newest]
    assert taken == sorted(taken, reverse=True)
    assert all(hit["score"] >= 0.2 for hit in good)
    assert len(good) < len(newest)


def test_an_answer_says_how_likely_its_first_hit_is_right_or_that_this_is_not_known(served: Serving) -> None:
    found = served.client.get("/v1/search", params={"text": "caption 1", "find": "image"}).json()
    refused = served.client.get("/v1/search", params={"text": "caption 1", "find": "image", "only": "likely"})

    assert (found["probability"], found["verdict"]) == (None, None)
    assert refused.status_code == 400
    assert "has no calibration" in refused.json()["error"]


def test_facets_count_what_meets_a_condition_by_the_fields_that_there_are(served: Serving) -> None:
    usual = served.client.get("/v1/facets").json()["facets"]
    cameras = served.client.get("/v1/facets", params={"field": "camera", "where": "taken in 2021"}).json()[
        "facets"
    ]

    assert list(usual) == ["year", "folder", "camera"]
    assert usual["year"] == [{"value": year, "count": 4} for year in ("2020", "2021", "2022")]
    assert cameras == {"camera": [{"value": name, "count": 2} for name in ("Camera A", "Camera B")]}


def test_facets_count_the_items_of_each_month(served: Serving) -> None:
    asked = {"field": "month", "where": 'camera = "Camera A"'}

    found = served.client.get("/v1/facets", params=asked).json()["facets"]

    assert found == {"month": [{"value": f"{year}-05", "count": 2} for year in (2020, 2021, 2022)]}


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "give text, item or upload, at most 32 in all"),
        ({"text": "a", "k": 0}, "k: Input should be greater than or equal to 1"),
        ({"text": "a", "find": "video"}, "find: Input should be 'image' or 'text'"),
        ({"text": " "}, "the text of a query is empty; write the words to look for"),
        ({"upload": "0" * 64}, "the picture to search with is not here any more; send it again"),
        ({"item": 10**6}, "no item"),
        ({"text": "a", "where": "wdith > 3"}, "wdith"),
        ({"text": "a", "where": "width >"}, "a value is expected"),
        ({"text": "a", "sort": "size"}, "sort: Input should be 'score', 'taken' or 'name'"),
    ],
)
def test_a_mistake_is_answered_with_one_sentence(
    served: Serving, params: dict[str, Any], sentence: str
) -> None:
    answer = served.client.get("/v1/search", params=params)

    assert answer.status_code in (400, 404)
    assert list(answer.json()) == ["error"]
    assert sentence in answer.json()["error"]


def test_an_upload_that_is_not_a_picture_is_refused_with_the_reason(served: Serving) -> None:
    answer = served.client.post("/v1/uploads", content=b"<svg xmlns='http://www.w3.org/2000/svg'/>")

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("cannot search with what was sent: ")


def test_the_api_describes_itself(served: Serving) -> None:
    described = served.client.get("/v1/openapi.json").json()

    assert described["openapi"].startswith("3.1")
    assert {"/v1/search", "/v1/items/{id}/similar", "/v1/uploads", "/v1/info"} <= set(described["paths"])


def test_the_thumbnails_on_disk_stay_within_their_bound(tmp_path: Path) -> None:
    cache, webp = ThumbnailCache(tmp_path, 10_000), b"RIFF\0\0\0\0WEBP" + bytes(988)
    for number in range(50):
        cache.write(f"{number:02}", webp)

    assert sum(path.stat().st_size for path in tmp_path.rglob("*.webp")) <= 10_000
    assert cache.read("49") == webp
    assert cache.read("../../etc/passwd") is None

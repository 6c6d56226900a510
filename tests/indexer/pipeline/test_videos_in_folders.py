"""Videos in a folder: key frames are items named by their times; unchanged ones are not opened again."""

from __future__ import annotations

import io
import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

import indexer
import retrieval
from indexer import Report
from retrieval.collection import Collection
from retrieval.corpora import CorpusOptions
from retrieval.errors import ImageError, QueryError, UsageError
from retrieval.query.pictures import Pictures
from tests.builders import HashEncoder, draw, uris
from tests.command_line import Run
from tests.videos import COLOURS, make_video
from tests.without_packages import run_without

EVERY_SECOND = CorpusOptions(frames_per_minute=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "corpus"
    path.mkdir()
    return path


def build(
    folder: Path, collection: Path, options: CorpusOptions = EVERY_SECOND, prune: bool = False
) -> Report:
    return indexer.build(folder, collection, model=HashEncoder(), options=options, prune=prune)


def ids(collection: Path) -> dict[str, int]:
    return {unquote(name): id for name, id in uris(collection).items()}


def names(collection: Path) -> list[str]:
    return sorted(ids(collection))


def test_scenes_of_a_video_are_items_with_their_times_and_what_its_container_says(
    folder: Path, collection: Path
) -> None:
    written = {"title": "A walk", "creation_time": "2021-04-12T13:30:12Z", "location": "+48.8577+002.2950/"}
    make_video(folder / "clip.mov", COLOURS[:3], metadata=written)

    report = build(folder, collection)

    assert (report.images, report.encoded, report.failed) == (3, 3, 0)
    assert names(collection) == ["clip.mov#t=0", "clip.mov#t=10", "clip.mov#t=20"]
    with Collection.open(collection) as opened:
        [item] = opened.items([ids(collection)["clip.mov#t=10"]])
    assert item.attributes == {
        "taken": "2021-04-12T13:30:12+00:00",
        "time": 10.0,
        "duration": 30.0,
        "lat": 48.8577,
        "lon": 2.295,
        "title": "A walk",
    }


def test_an_unchanged_video_is_not_opened_by_the_next_run(folder: Path, collection: Path) -> None:
    path = make_video(folder / "clip.mp4", COLOURS[:3])
    build(folder, collection)
    facts = path.stat()
    path.write_bytes(b"\0" * facts.st_size)  # whoever opened it would see
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    report = build(folder, collection)

    assert (report.images, report.unchanged, report.failed) == (3, 3, 0)


def test_another_number_of_frames_a_minute_lists_a_video_again(folder: Path, collection: Path) -> None:
    make_video(folder / "clip.mp4", COLOURS[:4])
    build(folder, collection)

    report = build(folder, collection, CorpusOptions(frames_per_minute=3), prune=True)

    assert names(collection) == ["clip.mp4#t=0", "clip.mp4#t=20"]
    assert (report.encoded, report.removed) == (0, 2)


def test_a_renamed_video_keeps_its_vectors(folder: Path, collection: Path) -> None:
    path = make_video(folder / "clip.mp4", COLOURS[:3])
    build(folder, collection)
    path.rename(folder / "other.mp4")

    report = build(folder, collection)

    assert (report.encoded, report.known) == (0, 3)
    assert names(collection) == ["other.mp4#t=0", "other.mp4#t=10", "other.mp4#t=20"]


@pytest.mark.parametrize(
    ("picture", "video", "items"),
    [
        ("IMG_1.HEIC", "IMG_1.MOV", ["IMG_1.HEIC"]),
        ("IMG_1.jpg", "img_1.mov", ["IMG_1.jpg"]),
        ("IMG_1.heic", "IMG_1.mp4", ["IMG_1.heic"]),
        ("clip.jpg", "clip.mp4", ["clip.jpg", "clip.mp4#t=0"]),
        ("IMG_1.HEIC", "IMG_2.MOV", ["IMG_1.HEIC", "IMG_2.MOV#t=0"]),
    ],
)
def test_the_video_of_a_live_photo_belongs_to_its_picture(
    picture: str, video: str, items: list[str], folder: Path, collection: Path
) -> None:
    draw(folder / "picture.jpg", (0, 200, 0)).rename(folder / picture)
    make_video(folder / "a.mov", COLOURS[:1]).rename(folder / video)

    report = build(folder, collection)

    assert names(collection) == items
    assert report.left_out == ({} if len(items) == 2 else {"Live Photo video": 1})


def test_a_damaged_video_is_a_failure_with_its_reason_and_the_rest_is_taken(
    folder: Path, collection: Path
) -> None:
    whole = make_video(folder / "clip.mp4", COLOURS[:2])
    (folder / "cut.mp4").write_bytes(whole.read_bytes()[:400])
    (folder / "words.mkv").write_text("no video")

    report = build(folder, collection)

    assert (report.images, report.failed) == (2, 2)
    with Collection.open(collection) as opened, opened.reading() as view:
        reasons = {failure.uri.rpartition("/")[2]: failure.reason for failure in view.failures()}
    assert reasons["cut.mp4"].startswith("damaged or cut short")
    assert reasons["words.mkv"].startswith("not a picture in a format that is read here")


def test_a_photograph_with_the_name_of_a_video_is_taken_by_its_content(
    folder: Path, collection: Path
) -> None:
    draw(folder / "a.png", (0, 200, 0)).rename(folder / "a.mp4")

    assert build(folder, collection).encoded == 1
    assert names(collection) == ["a.mp4"]


def test_videos_have_no_part_in_an_evaluation(run: Run, folder: Path, model: Path) -> None:
    make_video(folder / "clip.mp4", COLOURS[:1])
    draw(folder / "a.png", (0, 200, 0))
    (folder / "a.txt").write_text("green")

    assert run("eval", folder, "--model", model).exit_code == 0


def test_a_moment_is_a_picture_to_search_with_and_to_look_at(folder: Path, collection: Path) -> None:
    path = make_video(folder / "clip.mp4", COLOURS[:3])
    build(folder, collection)

    with retrieval.open(collection, encoder=HashEncoder()) as engine, Pictures(engine.collection) as pictures:
        hits = engine.search(retrieval.parse_query([f"{path}#t=12.5"]), k=3, find="image")
        [picture] = pictures.find([ids(collection)["clip.mp4#t=10"]]).values()
        with Image.open(io.BytesIO(pictures.thumbnail(picture, 240))) as small:
            pixel = small.convert("RGB").getpixel((150, 80))
        assert not pictures.has_original(picture)
        with pytest.raises(ImageError, match="a frame of a video"):
            pictures.original(picture)
        with pytest.raises(QueryError, match=r"a video; name a moment of it, as in clip\.mp4#t=12\.4"):
            engine.search(retrieval.parse_query([str(path)]))

    assert unquote(hits[0].uri).endswith("clip.mp4#t=10")
    assert hits[0].score == pytest.approx(1)
    assert isinstance(pixel, tuple)
    assert all(abs(one - other) < 20 for one, other in zip(pixel, COLOURS[1], strict=True))


@pytest.mark.parametrize("number", [0, -1, 601, float("nan")])
def test_a_number_of_frames_a_minute_has_a_range(number: float) -> None:
    with pytest.raises(UsageError, match=r"choose 0\.01 to 600"):
        CorpusOptions(frames_per_minute=number)


def test_the_number_of_frames_a_minute_is_remembered(
    run: Run, folder: Path, model: Path, tmp_path: Path
) -> None:
    make_video(folder / "clip.mp4", COLOURS[:4])
    at = ("--collection", tmp_path / "c", "--model", model)
    assert run("index", folder, *at, "--frames-per-minute", "3").exit_code == 0
    facts = (folder / "clip.mp4").stat()
    os.utime(folder / "clip.mp4", ns=(facts.st_atime_ns, facts.st_mtime_ns + 10**9))

    assert run("index", "--collection", tmp_path / "c").exit_code == 0

    assert names(tmp_path / "c") == ["clip.mp4#t=0", "clip.mp4#t=20"]


def test_videos_without_their_extra_are_counted_and_said_and_taken_once_it_is_there(
    run: Run, folder: Path, model: Path, tmp_path: Path
) -> None:
    make_video(folder / "clip.mp4", COLOURS[:1])
    draw(folder / "a.png", (0, 200, 0))
    command = ("index", folder, "--collection", tmp_path / "c", "--model", model)

    [without], imported = run_without(["av"], command)

    assert without.exit_code == 0
    assert "left out: 1 video\n" in without.stdout
    assert (
        "1 video needs vlsearch[video]; index again after: pip install 'vlsearch[video]'\n" in without.stdout
    )
    assert imported == []
    assert run(*command).exit_code == 0
    assert names(tmp_path / "c") == ["a.png", "clip.mp4#t=0"]

"""Key frames of videos: which are kept, what they show, what names them; nothing but the file itself is opened."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from retrieval.errors import ImageError, ImageTooLarge
from retrieval.images.video import container
from retrieval.images.video.frames import decode_frame, key_frame_at, upright, upright_size
from retrieval.images.video.identity import digest_of
from retrieval.images.video.key_frames import list_moments
from tests.videos import CODECS, COLOURS, RED, Colour, make_video

MOST = 200_000_000


def picture(path: Path, milliseconds: int, short_side: int | None = None) -> Image.Image:
    with container.open_video(path, MOST) as video:
        frame = decode_frame(video, key_frame_at(video, milliseconds / 1000))
        return upright(video, frame, MOST, short_side)


def digest(path: Path, milliseconds: int) -> bytes:
    with container.open_video(path, MOST) as video:
        return digest_of(video, key_frame_at(video, milliseconds / 1000))


def is_near(pixel: object, colour: Colour) -> bool:
    return bool(np.abs(np.asarray(pixel, int) - colour).max() < 20)


@pytest.mark.parametrize("name", CODECS)
def test_each_scene_of_a_video_of_any_kind_is_one_frame_with_its_colour(name: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / name)

    found = list_moments(path, 60, MOST)

    assert [round(moment / 10_000) for moment in found] == [0, 1, 2, 3, 4]
    pictures = [picture(path, moment) for moment in found]
    assert all(
        is_near(one.getpixel((150, 90)), colour) for one, colour in zip(pictures, COLOURS, strict=True)
    )


@pytest.mark.parametrize(
    ("per_minute", "seconds"), [(60, [0, 1, 2, 3, 4, 5]), (30, [0, 2, 4]), (20, [0, 3]), (1, [0])]
)
def test_frames_lie_no_closer_than_the_number_a_minute_allows(
    per_minute: float, seconds: list[int], tmp_path: Path
) -> None:
    path = make_video(tmp_path / "a.mp4", [*COLOURS, RED], seconds=1.0, rate=10, key_every=1.0)

    assert list_moments(path, per_minute, MOST) == [second * 1000 for second in seconds]


def test_a_video_that_does_not_change_is_one_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [COLOURS[0]] * 6)

    assert list_moments(path, 60, MOST) == [0]


@pytest.mark.parametrize(
    ("turn", "size", "corner"),
    [
        (None, (160, 96), (5, 5)),
        (90, (96, 160), (5, 150)),
        (180, (160, 96), (150, 90)),
        (-90, (96, 160), (90, 5)),
    ],
)
def test_a_frame_is_turned_as_players_turn_it(
    turn: int | None, size: tuple[int, int], corner: tuple[int, int], tmp_path: Path
) -> None:
    path = make_video(tmp_path / "a.mov", COLOURS[:1], turn=turn)

    shown = picture(path, 0)

    assert shown.size == size
    assert is_near(shown.getpixel(corner), RED)
    assert sum(is_near(shown.getpixel((x, y)), RED) for x in (5, size[0] - 6) for y in (5, size[1] - 6)) == 1


def test_a_large_frame_is_reduced_to_twice_what_is_asked_for_and_its_size_is_known(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", COLOURS[:1], size=(640, 480), turn=90)

    assert picture(path, 0, short_side=100).size == (200, 267)
    with container.open_video(path, MOST) as video:
        assert upright_size(video, decode_frame(video, key_frame_at(video, 0))) == (480, 640)


def test_a_time_between_key_frames_shows_the_one_before(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", key_every=10.0)

    assert is_near(picture(path, 19_999).getpixel((150, 90)), COLOURS[1])
    assert is_near(picture(path, 20_000).getpixel((150, 90)), COLOURS[2])


def test_a_moved_video_keeps_the_names_of_its_frames_and_a_turned_one_does_not(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mov")
    turned = make_video(tmp_path / "turned.mov", turn=90)
    before = [digest(path, 0), digest(path, 10_000)]

    path.rename(tmp_path / "b.mp4")

    assert [digest(tmp_path / "b.mp4", 0), digest(tmp_path / "b.mp4", 10_000)] == before
    assert before[0] != before[1]
    assert digest(turned, 0) not in before


def test_a_frame_that_takes_more_memory_than_it_may_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", COLOURS[:1], size=(640, 480))

    with pytest.raises(ImageTooLarge) as refused:
        list_moments(path, 60, MOST, memory=2**20)
    assert refused.value.needed == 640 * 480 * container.BYTES_A_PIXEL + 48 * 2**20
    with pytest.raises(ImageError, match="640x480 pixels, over the limit"):
        list_moments(path, 60, 1000)


def test_a_playlist_with_the_name_of_a_video_opens_no_other_file(tmp_path: Path) -> None:
    inner = make_video(tmp_path / "inner.mp4")
    playlist = tmp_path / "a.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{inner}\n#EXT-X-ENDLIST\n")

    with pytest.raises(ImageError, match="not a video in a container"):
        list_moments(playlist, 60, MOST)


def test_an_encoding_that_no_camera_writes_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("ffv1", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        made.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        made.mux(stream.encode())

    with pytest.raises(ImageError, match=r"a video whose encoding \(.*\) is not read here"):
        list_moments(path, 60, MOST)


def test_sound_alone_is_said_to_be_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        made.mux(stream.encode(frame))
        made.mux(stream.encode())

    with pytest.raises(ImageError, match="without a picture"):
        list_moments(path, 60, MOST)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_with_the_name_of_a_video_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")

    with pytest.raises(ImageError, match="not a regular file"):
        list_moments(tmp_path / "a.mp4", 60, MOST)

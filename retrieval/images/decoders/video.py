"""Videos (MP4, MOV, MKV, WebM, AVI) by FFmpeg: key frames are pictures, named by their times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from retrieval import file_kinds
from retrieval.errors import ImageError
from retrieval.images.decoders.decoder import Decoder, EmbeddedMetadata, Opened, Source, Wanted
from retrieval.moments import FRAMES_PER_MINUTE, part_at, seconds_of
from retrieval.signatures import video_container

if TYPE_CHECKING:
    from retrieval.images.video.container import Video

_MOST_PIXELS = (
    2**28
)  # of a video that is opened; before a frame is decoded, the caller's limits are looked at


def _is_content(data: bytes) -> bool:
    return video_container(data) is not None


class _LastVideo:
    """The video that was opened last: one frame after the other is asked for, each for its name and for its pixels."""

    key: object = None
    video: Video | None = None
    opened = ExitStack()


@contextmanager
def _video(source: Source) -> Iterator[Video]:
    """Give the video of a source, opened now or for the frame before; one that raises anything is not kept."""
    from retrieval.images.video.container import errors_translated, open_video

    if source.path is None:
        raise ImageError("a video, not a picture")
    facts, last = source.path.stat(), _LastVideo
    key = (source.path, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    if last.video is None or last.key != key:
        _forget()
        last.video, last.key = last.opened.enter_context(open_video(source.path, _MOST_PIXELS)), key
    try:
        with errors_translated():
            yield last.video
    except BaseException:
        _forget()
        raise


def _forget() -> None:
    _LastVideo.key = _LastVideo.video = None
    _LastVideo.opened.close()


def _seconds(source: Source) -> float:
    if source.path is None:
        raise ImageError("a video, not a picture")
    if not source.part:
        raise ImageError("a video; name a moment of it, as in clip.mp4#t=12.4")
    return seconds_of(source.part)


def _open(source: Source, wanted: Wanted) -> Opened:
    from retrieval.images.video.container import check_frame
    from retrieval.images.video.frames import decode_frame, key_frame_at, upright, upright_size

    seconds = _seconds(source)
    with _video(source) as video:
        context = video.stream.codec_context
        check_frame(context.width, context.height, wanted.most_pixels, wanted.memory)
        frame = decode_frame(video, key_frame_at(video, seconds))
        image = upright(video, frame, wanted.most_pixels, wanted.short_side)
        return Opened(image, upright_size(video, frame))


def _parts(source: Source, wanted: Wanted) -> list[str]:
    from retrieval.images.video.key_frames import list_moments

    if source.path is None:
        raise ImageError("a video, not a picture")
    rate = wanted.frames_per_minute or FRAMES_PER_MINUTE
    return [part_at(moment) for moment in list_moments(source.path, rate, wanted.most_pixels, wanted.memory)]


def _digest(source: Source) -> bytes:
    from retrieval.images.video.frames import key_frame_at
    from retrieval.images.video.identity import digest_of

    seconds = _seconds(source)
    with _video(source) as video:
        return digest_of(video, key_frame_at(video, seconds))


def _metadata(source: Source) -> EmbeddedMetadata:
    from retrieval.images.video.metadata import attributes_of

    with _video(source) as video:
        values = attributes_of(video.container.metadata, video.stream.metadata)
        return EmbeddedMetadata(values=values | {"time": _seconds(source), "duration": video.duration})


DECODER = Decoder(
    kind=file_kinds.VIDEO,
    packages=("av",),
    distributions=("av",),
    is_content=_is_content,
    open=_open,
    parts=_parts,
    digest=_digest,
    metadata=_metadata,
)

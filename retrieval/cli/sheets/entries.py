"""What a contact sheet shows of each hit: its picture and lines of text, before they become HTML or pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from retrieval.cli.printing import TEXT_NAMES, one_line, printable, short_name, written_ranks, written_region
from retrieval.errors import ImageError, QueryError
from retrieval.moments import clock, moment_of, video_of
from retrieval.types import Attribute, Hit
from retrieval.uris import is_url

if TYPE_CHECKING:
    from retrieval.decoding.pool import DecodePool
    from retrieval.query.explanation import Explanation, PartShare


HEIGHT = 200  # pixels of a picture


@dataclass(frozen=True, slots=True)
class Drawn:
    """Explanations by item id, and what draws one into its picture, as the bytes of a JPEG."""

    explanations: Mapping[int, Explanation]
    draw: Callable[[Explanation], bytes]


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one style; ``share``, from 0 to 1, marks a word. Safe to print, not escaped."""

    text: str
    style: Literal["plain", "small", "name"] = "plain"
    share: float | None = None


Line = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One hit on a sheet.

    Attributes:
        name: short name of the picture.
        jpeg: its picture, or None.
        missing: what is said in the picture's place, and empty where there is one or a hit is a text.
        moment: at which a frame stands in its video, or empty.
        lines: of text below.
    """

    name: str
    jpeg: bytes | None
    missing: str
    moment: str
    lines: tuple[Line, ...]


def entry_of(hit: Hit, pool: DecodePool, drawn: Drawn | None) -> Entry:
    """Gather what is shown of a hit; its picture is decoded in the limited worker processes."""
    explanation = None if drawn is None else drawn.explanations.get(hit.id)
    jpeg, missing, seconds = None, "", None
    if hit.kind == "image":
        jpeg = _overlay(explanation, drawn)
        if jpeg is None:
            jpeg, missing = _picture(hit, pool)
        seconds = moment_of(hit.uri)
    moment = "" if seconds is None else clock(seconds)
    return Entry(short_name(hit.uri), jpeg, missing, moment, tuple(_lines(hit, explanation)))


def _lines(hit: Hit, explanation: Explanation | None) -> Iterator[Line]:
    nearness = () if hit.cosine is None else (Run(f"{hit.cosine:.4f}", "small"), Run(" "))
    name = short_name(
        video_of(hit.uri) or hit.uri
    )  # a frame has its video's; its moment stands on its picture
    yield Run(f"{hit.rank} "), *nearness, Run(printable(name), "name")
    if ranks := written_ranks(hit):
        yield (Run(ranks, "small"),)
    if hit.region is not None:
        yield (Run(f"at {written_region(hit.region)}", "small"),)
    if explanation is not None:
        yield tuple(_parts(explanation.parts))
    for text in (*([] if hit.text is None else [hit.text]), *(caption.text for caption in hit.captions)):
        yield (Run(printable(text)),)
    for other in hit.texts:
        yield Run(f"{TEXT_NAMES[other.origin]}:", "small"), Run(f" {one_line(other.text)}")
    if attributes := _attributes(hit):
        yield (Run(printable(attributes), "small"),)


def _picture(hit: Hit, pool: DecodePool) -> tuple[bytes | None, str]:
    """Make the thumbnail of a hit, or say why there is none."""
    from retrieval.evaluation.report.thumbnails import jpeg_of
    from retrieval.query.image_sources import read_source

    if is_url(hit.uri):
        return None, "on the web"
    try:
        return jpeg_of(read_source(hit.uri, pool.limits), pool, HEIGHT), ""
    except (ImageError, QueryError):
        return None, "cannot be shown"


def _overlay(explanation: Explanation | None, drawn: Drawn | None) -> bytes | None:
    """Draw the picture with what counts in it; nothing where it cannot be drawn."""
    if drawn is None or explanation is None or explanation.picture is None:
        return None
    try:
        return drawn.draw(explanation)
    except ImageError:  # it has gone since
        return None


def _parts(parts: tuple[PartShare, ...]) -> Iterator[Run]:
    """Write the parts of the query with their contributions, each word as strongly marked as its share."""
    for number, part in enumerate(parts):
        if number:
            yield Run(" + ")
        at = 0
        for word in part.words:
            yield Run(printable(part.part[at : word.start]))
            yield Run(printable(word.text), share=word.share)
            at = word.start + len(word.text)
        yield Run(printable(part.part[at:]) + " ")
        yield Run(f"{part.contribution:+.4f}", "small")


def _attributes(hit: Hit) -> str:
    """Write the attributes; of a frame without its time, and with its duration as players show it."""
    shown: dict[str, Attribute] = dict(hit.attributes)
    if moment_of(hit.uri) is not None:
        shown.pop("time", None)
        if isinstance(duration := shown.get("duration"), (int, float)):
            shown["duration"] = clock(duration)
    origins = {text.origin for text in hit.texts}  # these stand in lines of their own
    return " · ".join(f"{name}: {_value(value)}" for name, value in shown.items() if name not in origins)


def _value(value: Attribute) -> str:
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)

"""A contact sheet: the hits of a query as one HTML file that stands alone, to look at, keep or send."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.cli.printing import (
    TEXT_NAMES,
    counted,
    one_line,
    printable,
    short_name,
    written_ranks,
    written_region,
)
from retrieval.cli.progress import progress_display
from retrieval.errors import ImageError, QueryError, UsageError
from retrieval.moments import clock, moment_of, video_of
from retrieval.types import Attribute, Hit, Limits, Progress
from retrieval.uris import is_url

if TYPE_CHECKING:
    from retrieval.decoding.pool import DecodePool
    from retrieval.query.explanation import Explanation, PartShare

SUFFIXES = (".html", ".htm")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif }
body { margin: 1.5rem; max-width: 90rem }
h1 { font-size: 1.3rem }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1.2rem }
ol { padding: 0; list-style: none }
img { display: block; max-width: 100%; height: 11rem; object-fit: contain; object-position: left; background: #8882 }
.none { height: 11rem; display: grid; place-items: center; background: #8882; color: GrayText }
.name { display: block; font-weight: 600; overflow-wrap: anywhere }
.shown { position: relative; width: fit-content; max-width: 100% }
.moment { position: absolute; top: .4rem; right: .4rem; padding: .05rem .35rem; border-radius: 4px; font-size: .78rem }
.moment { color: #fff; background: #000a; font-variant-numeric: tabular-nums }
mark { color: inherit; border-radius: .2rem }
p { margin: .25rem 0 } small { color: GrayText; overflow-wrap: anywhere }
"""


def checked_sheet(path: Path | None) -> Path | None:
    """Check the name of a sheet before a search, and not after it.

    Raises:
        UsageError: it is not an HTML file's, or its folder is not there.
    """
    if path is None:
        return None
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a sheet is an HTML file; {path} does not end in .html")
    if not path.absolute().parent.is_dir():
        raise UsageError(
            f"there is no folder {path.absolute().parent} for the sheet {path.name}; make it first"
        )
    return path


@dataclass(frozen=True, slots=True)
class Drawn:
    """Explanations by item id, and what draws one into its picture, as the bytes of a JPEG."""

    explanations: Mapping[int, Explanation]
    draw: Callable[[Explanation], bytes]


def write_sheet(
    path: Path, title: str, hits: Sequence[Hit], limits: Limits, drawn: Drawn | None = None
) -> None:
    """Write a sheet, whole or not at all, and say where it is; pictures are decoded in the limited worker processes.

    Args:
        path: of the file.
        title: above the hits.
        hits: to show.
        limits: what is accepted of a picture.
        drawn: explanations to show in the pictures' places, with the words of the query marked.

    Raises:
        OSError: it cannot be written.
    """
    from retrieval.decoding.pool import DecodePool

    with DecodePool(limits) as pool, progress_display() as show:
        parts = []
        for number, hit in enumerate(hits, start=1):
            parts.append("".join(_entry(hit, pool, drawn)))
            show(Progress("sheet", number, len(hits), 0))
    page = (
        '<!doctype html><html><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{_text(title)}</h1><ol>{''.join(parts)}</ol></body></html>\n"
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(path)
    click.echo(f"{counted(len(hits), 'hit')} in {printable(str(path))}", err=True)


def _entry(hit: Hit, pool: DecodePool, drawn: Drawn | None) -> Iterator[str]:
    yield "<li>"
    explanation = None if drawn is None else drawn.explanations.get(hit.id)
    if hit.kind == "image":
        shown = (_overlay(hit, explanation, drawn) if drawn and explanation else "") or _picture(hit, pool)
        yield f'<div class="shown">{shown}{_badge(hit)}</div>'
    nearness = "" if hit.cosine is None else f" <small>{hit.cosine:.4f}</small>"
    yield f'<p>{hit.rank}{nearness} <span class="name">{_text(_name(hit))}</span></p>'
    if ranks := written_ranks(hit):
        yield f"<p><small>{ranks}</small></p>"
    if hit.region is not None:
        yield f"<p><small>at {written_region(hit.region)}</small></p>"
    if explanation is not None:
        yield f"<p>{' + '.join(map(_marked, explanation.parts))}</p>"
    if hit.text is not None:
        yield f"<p>{_text(hit.text)}</p>"
    for caption in hit.captions:
        yield f"<p>{_text(caption.text)}</p>"
    for text in hit.texts:
        yield f"<p><small>{TEXT_NAMES[text.origin]}:</small> {_text(one_line(text.text))}</p>"
    origins = {text.origin for text in hit.texts}
    others = {name: value for name, value in _attributes_of(hit).items() if name not in origins}
    if others:
        yield f"<p><small>{_text(_attributes(others))}</small></p>"
    yield "</li>"


def _name(hit: Hit) -> str:
    """Name a hit; a frame by its video, whose moment stands on its picture."""
    return short_name(video_of(hit.uri) or hit.uri)


def _badge(hit: Hit) -> str:
    """Say on a frame at which moment of its video it stands, as players do."""
    seconds = moment_of(hit.uri)
    return "" if seconds is None else f'<span class="moment">{clock(seconds)}</span>'


def _attributes_of(hit: Hit) -> dict[str, Attribute]:
    """Give the attributes to show; of a frame without its time, and with its duration as players show it."""
    attributes = dict(hit.attributes)
    if moment_of(hit.uri) is not None:
        attributes.pop("time", None)
        if isinstance(duration := attributes.get("duration"), (int, float)):
            attributes["duration"] = clock(duration)
    return attributes


def _picture(hit: Hit, pool: DecodePool) -> str:
    from retrieval.evaluation.report.thumbnails import thumbnail_of
    from retrieval.query.image_sources import read_source

    if is_url(hit.uri):
        return '<div class="none">on the web</div>'
    try:
        shown = thumbnail_of(read_source(hit.uri, pool.limits), pool)
    except (ImageError, QueryError):
        return '<div class="none">cannot be shown</div>'
    return f'<img src="{shown}" alt="{_text(short_name(hit.uri))}">'


def _overlay(hit: Hit, explanation: Explanation, drawn: Drawn) -> str:
    """Show the picture with what counts in it; nothing where it cannot be drawn."""
    if explanation.picture is None:
        return ""
    try:
        shown = base64.b64encode(drawn.draw(explanation)).decode()
    except ImageError:  # it has gone since
        return ""
    return f'<img src="data:image/jpeg;base64,{shown}" alt="{_text(short_name(hit.uri))}">'


def _marked(part: PartShare) -> str:
    """Write a part of the query with its contribution, each word as strongly marked as its share."""
    written, at = [], 0
    for word in part.words:
        written.append(_text(part.part[at : word.start]))
        opacity = f"{0.85 * word.share:.2f}"
        written.append(f'<mark style="background:rgb(255 150 0 / {opacity})">{_text(word.text)}</mark>')
        at = word.start + len(word.text)
    written.append(_text(part.part[at:]))
    return f"{''.join(written)} <small>{part.contribution:+.4f}</small>"


def _attributes(attributes: Mapping[str, Attribute]) -> str:
    def shown(value: Attribute) -> str:
        return ", ".join(value) if isinstance(value, list | tuple) else str(value)

    return " · ".join(f"{name}: {shown(value)}" for name, value in attributes.items())


def _text(text: str) -> str:
    return html.escape(printable(text))

"""PDF (ISO 32000), by PDFium: each page is a picture, and its text is there to be found by words.

No script of a document runs (the library is built without), and no form is drawn.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from retrieval import file_kinds
from retrieval.errors import ImageError
from retrieval.file_kinds import MOST_PARTS
from retrieval.images.decoders.decoder import (
    Decoder,
    DocumentText,
    EmbeddedMetadata,
    Opened,
    Source,
    Wanted,
)

if TYPE_CHECKING:
    import pypdfium2

MOST_TEXT = 10_000  # characters of a page
_POINTS = 72  # an inch
_WHOLE_DPI = 150  # a page's width and height are said in pixels of this resolution
_REDUCTION = 2  # a page is drawn with at least so many times the pixels that are needed
_MOST_ASPECT = 20.0  # as of any picture: a longer strip keeps its middle
_MOST_SIDE = 8192  # pixels
_BYTES = 16  # of memory, a pixel that is drawn
_HEAD = 1024  # bytes, among which a PDF begins
_DATE = re.compile(r"D:(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:([+-])(\d\d)'?(\d\d)?|(Z))?")


class _LastDocument:
    """The document that was opened last: one page after the other is asked for."""

    data: bytes | None = None
    document: pypdfium2.PdfDocument | None = None


def _document(source: Source) -> pypdfium2.PdfDocument:
    import pypdfium2

    last = _LastDocument
    if last.data is not source.data or last.document is None:
        if last.document is not None:
            last.document.close()
        last.data = last.document = None
        try:
            last.document = pypdfium2.PdfDocument(source.data)
        except pypdfium2.PdfiumError as error:
            raise ImageError(_reason(error)) from error
        last.data = source.data
    return last.document


def _reason(error: Exception) -> str:
    locked = "assword" in str(error)
    return "a PDF that only a password opens" if locked else f"damaged or cut short ({error})"


def _page(source: Source) -> pypdfium2.PdfPage:
    import pypdfium2

    document = _document(source)
    number = int(source.part.removeprefix("page=") or 1)
    if number > len(document):
        raise ImageError(f"the document has no page {number}")
    try:
        return document[number - 1]
    except pypdfium2.PdfiumError as error:
        raise ImageError(f"the page is damaged ({error})") from error


def _open(source: Source, wanted: Wanted) -> Opened:
    """Draw a page on white: as large as is needed, or at 150 pixels an inch."""
    page = _page(source)
    try:
        width, height = page.get_size()
        if not (0 < width < float("inf") and 0 < height < float("inf")):
            raise ImageError("the page has no size")
        image = page.render(scale=_scale(width, height, wanted), may_draw_forms=False).to_pil()
    finally:
        page.close()
    image.format = "PDF"
    whole = _scale(width, height, Wanted(None, wanted.most_pixels, None))
    return Opened(image, (max(1, round(width * whole)), max(1, round(height * whole))))


def _scale(width: float, height: float, wanted: Wanted) -> float:
    """Say how many pixels a point becomes: never so many that a side is beyond the limits."""
    scale = _WHOLE_DPI / _POINTS
    if wanted.short_side is not None:
        short = max(min(width, height), max(width, height) / _MOST_ASPECT)
        scale = min(scale, _REDUCTION * wanted.short_side / short)
    most = min(_MOST_SIDE**2, wanted.most_pixels, (wanted.memory or 2**40) // _BYTES)
    scale = min(scale, _MOST_SIDE / max(width, height), (most / (width * height)) ** 0.5)
    return float(max(scale, 1 / min(width, height)))


def _parts(source: Source, _: Wanted) -> list[str]:
    return [f"page={number}" for number in range(1, min(len(_document(source)), MOST_PARTS + 1) + 1)]


def _text(source: Source) -> DocumentText:
    import pypdfium2

    page = _page(source)
    try:
        text = page.get_textpage()
        try:
            found = text.get_text_range(0, min(text.count_chars(), MOST_TEXT))
        finally:
            text.close()
    finally:
        page.close()
    return DocumentText(found.replace("\r\n", "\n"), f"pypdfium2 {pypdfium2.PYPDFIUM_INFO.version}")


def _metadata(source: Source) -> EmbeddedMetadata:
    said = _document(source).get_metadata_dict(skip_empty=True)
    values: dict[str, object] = {
        "title": said.get("Title"),
        "description": said.get("Subject"),
        "creator": said.get("Author"),
        "keywords": re.split(r"[,;]", said.get("Keywords", "")),
        "taken": _time(said.get("CreationDate", "")),
    }
    return EmbeddedMetadata(values={name: value for name, value in values.items() if value is not None})


def _time(text: str) -> str | None:
    found = _DATE.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, sign, hours, minutes, utc = found.groups()
    zone = f"{sign}{hours}:{minutes or '00'}" if sign else "+00:00" if utc else ""
    return f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{zone}"


DECODER = Decoder(
    kind=file_kinds.PDF,
    packages=("pypdfium2", "pypdfium2_cfg", "pypdfium2_raw"),
    distributions=("pypdfium2",),
    is_content=lambda data: b"%PDF-" in data[:_HEAD],
    open=_open,
    parts=_parts,
    metadata=_metadata,
    text=_text,
)

"""The decoders, in the order in which they are asked; a further one is a file in this folder and a name here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.errors import ImageError, MissingExtra
from retrieval.extras import require
from retrieval.images.decoders import jxl, pdf, raw, tiff, video
from retrieval.images.decoders.decoder import Decoder, Opened, Source, Wanted

if TYPE_CHECKING:
    from retrieval.images.decoders.decoder import DocumentText, EmbeddedMetadata

DECODERS = (raw.DECODER, jxl.DECODER, pdf.DECODER, tiff.DECODER, video.DECODER)


def decoder_of(source: Source) -> Decoder | None:
    """Give the decoder that a file's content asks for; None where it is one of Pillow's own.

    Raises:
        ImageError: the decoder needs an extra that is not installed.
    """
    decoder = next((one for one in DECODERS if one.is_content(source.data)), None)
    if decoder is not None and decoder.kind.extra is not None:
        try:
            require(decoder.kind.extra, f"a {decoder.kind.noun}")
        except MissingExtra as error:
            raise ImageError(str(error)) from error
    return decoder


def open_source(source: Source, wanted: Wanted) -> Opened:
    """Open the picture that a source names; its pixels may still have to be loaded.

    Raises:
        ImageError: no decoder goes with the content, it is not installed, or the file has no such picture.
        Exception: what the decoder raised.
    """
    from retrieval.images.formats import open_image

    decoder = decoder_of(source)
    if decoder is None or (source.part and decoder.parts is None):
        if source.part:
            raise ImageError(f"the file does not hold several pictures, and so no {source.part!a}")
        return Opened(open_image(source.data))
    return decoder.open(source, wanted)


def list_parts(source: Source, wanted: Wanted) -> Sequence[str]:
    """List the names of a file's pictures, the empty one of the picture that the file's uri names alone.

    Raises:
        ImageError: the decoder is not installed.
        Exception: what the decoder raised.
    """
    decoder = decoder_of(source)
    return [""] if decoder is None or decoder.parts is None else decoder.parts(source, wanted)


def digest_of(source: Source) -> bytes:
    """Compute the sha256 that names the content of a picture in a file that is opened in place.

    Raises:
        ImageError: the file is not of such a kind, or its decoder is not installed.
        Exception: what the decoder raised.
    """
    decoder = decoder_of(source)
    if decoder is None or decoder.digest is None:
        raise ImageError("not a video in a container that is read here (MP4, MOV, MKV, WebM, AVI)")
    return decoder.digest(source)


def embedded_metadata(source: Source) -> EmbeddedMetadata | None:
    """Read what a file says of itself beside its pixels; None where Pillow reads that."""
    decoder = decoder_of(source)
    return None if decoder is None else decoder.metadata(source)


def document_text(source: Source) -> DocumentText | None:
    """Read the text that a picture shows, where its file holds it."""
    decoder = decoder_of(source)
    return None if decoder is None else decoder.text(source)

"""Sound files of the kinds that need a decoder of their own, for ``python -m tests.fuzz.pictures COUNT SEED KIND``."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tests.pdf_files import pdf
from tests.raw_files import dng

Files = dict[str, bytes]


def _noise(size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), np.uint8))


def raw_files() -> Files:
    """DNGs with and without a preview, one large enough to be taken."""
    noise = _noise()
    return {
        "preview.dng": dng(noise, _noise((640, 480))),
        "small.dng": dng(noise, noise.resize((32, 24))),
        "sensor.dng": dng(noise),
        "turned.dng": dng(noise, orientation=6),
    }


def jxl_files() -> Files:
    """JPEG XL, lossy and lossless, bare and in a container with metadata, with alpha and in grey."""
    import pillow_jxl  # noqa: F401  registers itself

    def encode(image: Image.Image, **settings: object) -> bytes:
        file = io.BytesIO()
        image.copy().save(file, "JXL", effort=1, **settings)
        return file.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    noise = _noise()
    return {
        "bare.jxl": encode(noise),
        "lossless.jxl": encode(noise.convert("RGBA"), lossless=True),
        "grey.jxl": encode(noise.convert("L"), lossless=True),
        "container.jxl": encode(noise, use_container=True, exif=exif.tobytes(), xmp=b"<x:xmpmeta/>"),
    }


def pdf_files() -> Files:
    """Documents of text, and of pictures."""
    file = io.BytesIO()
    noise = _noise()
    noise.copy().save(file, "PDF", save_all=True, append_images=[noise.rotate(90)])
    return {"text.pdf": pdf("Words on a page", 3), "one.pdf": pdf("One"), "scan.pdf": file.getvalue()}


def tiff_files() -> Files:
    """TIFF files of several pages, of each order of bytes."""
    noise = _noise()

    def pages(**settings: object) -> bytes:
        file = io.BytesIO()
        noise.copy().save(
            file, "TIFF", save_all=True, append_images=[noise.copy(), noise.convert("L")], **settings
        )
        return file.getvalue()

    return {"plain.tif": pages(), "lzw.tiff": pages(compression="tiff_lzw"), "big.tif": pages(big_tiff=True)}

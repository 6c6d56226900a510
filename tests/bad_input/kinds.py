"""Every kind of odd or hostile file that a folder of pictures may hold, each with what becomes of it.

``TAKEN`` is a picture in the collection, ``IGNORED`` is neither an item nor a failure, anything else is the reason of a
failure (or the part of it that says what is wrong).
"""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

TAKEN, IGNORED = "taken", "ignored"
DAMAGED = "damaged or cut short"
NO_PICTURE = "not a picture in a format that is read here"


@dataclass(frozen=True, slots=True)
class Kind:
    """A file to make under a name, and what becomes of it."""

    name: str
    outcome: str
    make: Callable[[Path], object]


def photo(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture with something in it, the same every time."""
    noise = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(noise).convert(mode)


def encoded(format_: str = "JPEG", image: Image.Image | None = None, **settings: object) -> bytes:
    buffer = io.BytesIO()
    (image or photo()).save(buffer, format_, **settings)
    return buffer.getvalue()


def bytes_of(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def picture(
    format_: str = "JPEG", image: Image.Image | None = None, **settings: object
) -> Callable[[Path], object]:
    return bytes_of(encoded(format_, image, **settings))


def cut(format_: str, share: float = 0.5) -> Callable[[Path], object]:
    data = encoded(format_)
    return bytes_of(data[: int(len(data) * share)])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG of one bit a pixel that says it is so large, whatever its chunks hold."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def png_bomb() -> bytes:
    """900 megapixels in 110 kB."""
    row = b"\0" * (1 + 30000 // 8)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(row) for _ in range(30000)) + packer.flush()
    return png(30000, 30000, chunk(b"IDAT", rows))


def text_bomb() -> bytes:
    """A picture whose comment unpacks to 80 MB."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 80_000_000, 9))
    rows = zlib.compress(b"\0\0" * 8)
    return png(8, 8, text, chunk(b"IDAT", rows))


def tiff_loop() -> bytes:
    """A TIFF whose only directory names itself as the next one, and holds no picture."""
    return b"II*\0" + struct.pack("<IH", 8, 0) + struct.pack("<I", 8)


def tiff_of_lies() -> bytes:
    """A TIFF directory of 65,535 entries in a file of 100 bytes."""
    return (b"II*\0" + struct.pack("<IH", 8, 65535)).ljust(100, b"\1")


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def damaged_crc() -> bytes:
    data = bytearray(encoded("PNG"))
    data[29] ^= 0xFF  # of IHDR
    return bytes(data)


def with_comment() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "a\0b" + "x" * 1000)
    return info


def sparse(size: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make


def link_to(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def folder_with_picture(path: Path) -> None:
    path.mkdir()
    (path / "inside.jpg").write_bytes(encoded(image=photo(size=(50, 40))))


def listen(path: Path) -> None:
    """A socket's name; made from within its folder, for such names may be 107 bytes long at most."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(path.name)
    finally:
        os.chdir(here)


def collection_inside(path: Path) -> None:
    path.mkdir()
    (path / "catalogue.sqlite").write_bytes(b"not to be opened")
    (path / "inside.jpg").write_bytes(encoded())


def captioned(caption: Callable[[Path], object]) -> Callable[[Path], object]:
    """A picture that is well, and beside it a caption file that is not."""

    def make(path: Path) -> None:
        path.write_bytes(encoded(image=photo(size=(32 + len(path.name), 40))))
        caption(path.with_suffix(".txt"))

    return make


GARBAGE = np.random.default_rng(3).bytes(3000)

GREY_16 = Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64))
FLOAT = Image.fromarray(np.linspace(0, 1, 900, dtype=np.float32).reshape(30, 30))
NOT_A_NUMBER = Image.fromarray(np.full((9, 9), np.nan, np.float32))
FAR_EXIF = b"Exif\0\0II*\0" + struct.pack(
    "<IHHHII", 8, 1, 0x0112, 2, 9999, 2**31
)  # its text is 2 GB further on
GIF_BOMB = b"GIF89a" + b"\xff" * 4 + b"\x80" + bytes(8) + b"," + bytes(4) + b"\xff" * 4 + b"\0\2\2D\1\0;"
BMP_BOMB = b"BM" + struct.pack("<IIIIiiHH", 0, 0, 54, 40, 2**20, 2**20, 1, 24) + bytes(24)

# fmt: off
KINDS = [
    # Odd, and taken all the same.
    Kind("plain.jpg", TAKEN, picture()),
    Kind("UPPER.JPEG", TAKEN, picture(quality=50)),
    Kind("jpeg-by-content.png", TAKEN, picture(quality=51)),
    Kind("png-by-content.jpg", TAKEN, picture("PNG")),
    Kind("no-suffix-but-one-of-another-case.WebP", TAKEN, picture("WEBP")),
    Kind("one-pixel.png", TAKEN, picture("PNG", Image.new("RGB", (1, 1), "red"))),
    Kind("strip-30000x2.png", TAKEN, picture("PNG", photo(size=(30000, 2)))),
    Kind("strip-2x30000.png", TAKEN, picture("PNG", photo(size=(2, 30000)))),
    Kind("grey.jpg", TAKEN, picture(image=photo("L"))),
    Kind("grey-16-bit.png", TAKEN, picture("PNG", GREY_16)),
    Kind("float.tiff", TAKEN, picture("TIFF", FLOAT)),
    Kind("not-a-number.tiff", TAKEN, picture("TIFF", NOT_A_NUMBER)),
    Kind("one-bit.png", TAKEN, picture("PNG", photo("1"))),
    Kind("cmyk.jpg", TAKEN, picture(image=photo("CMYK"))),
    Kind("lab.tiff", TAKEN, picture("TIFF", photo("LAB"))),
    Kind("ycbcr.jpg", TAKEN, picture(image=photo("YCbCr"))),
    Kind("grey-with-alpha.png", TAKEN, picture("PNG", photo("LA"))),
    Kind("palette-with-transparency.png", TAKEN, picture("PNG", photo("P"), transparency=0)),
    Kind("palette-with-alphas.png", TAKEN, picture("PNG", photo("P"), transparency=bytes(range(256)))),
    Kind("animated.gif", TAKEN, picture("GIF", save_all=True, append_images=[photo("L")], loop=0)),
    Kind("animated.webp", TAKEN, picture("WEBP", save_all=True, append_images=[photo("L").convert("RGB")])),
    Kind("pages.tiff", TAKEN, picture("TIFF", save_all=True, append_images=[photo("L")])),
    Kind("turned.jpg", TAKEN, picture(exif=exif(6))),
    Kind("turned-99.jpg", TAKEN, picture(exif=exif(99))),
    Kind("broken-exif.jpg", TAKEN, picture(exif=b"Exif\0\0" + GARBAGE[:500])),
    Kind("exif-beyond-the-end.jpg", TAKEN, picture(exif=FAR_EXIF)),
    Kind("broken-profile.jpg", TAKEN, picture(icc_profile=GARBAGE)),
    Kind("text-after-the-end.jpg", TAKEN, bytes_of(encoded(quality=52) + b"and so on" * 100)),
    Kind("comment-with-nul.png", TAKEN, picture("PNG", photo("L"), pnginfo=with_comment())),
    Kind("bomb-in-the-comment.png", TAKEN, bytes_of(text_bomb())),
    Kind("two-cameras.mpo.jpg", TAKEN, picture("MPO", save_all=True, append_images=[photo()])),
    Kind("name with blanks # and % and ü.jpg", TAKEN, picture(quality=53)),
    Kind("line\nfeed.jpg", TAKEN, picture(quality=54)),
    Kind("escape\x1b[2J.jpg", TAKEN, picture(quality=55)),
    Kind(os.fsdecode(b"caf\xe9-no-utf-8.jpg"), TAKEN, picture(quality=56)),
    Kind("n" * 250 + ".jpg", TAKEN, picture(quality=57)),
    Kind("link-to-a-picture.jpg", TAKEN, link_to("plain.jpg")),
    Kind("folder.jpg", IGNORED, folder_with_picture),  # is walked; the picture inside it is another item
    Kind("loop-of-folders", IGNORED, link_to(".")),
    Kind("collection", IGNORED, collection_inside),
    Kind(".hidden.jpg", IGNORED, picture()),
    Kind("drawing.svg", IGNORED, bytes_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>")),
    Kind("notes.txt", IGNORED, bytes_of(b"a text beside no picture")),
    # Not taken, and said to be so.
    Kind("empty.jpg", "the file is empty", bytes_of(b"")),
    Kind("zeros.jpg", "the file holds nothing but zeros", bytes_of(bytes(5000))),
    Kind("garbage.jpg", NO_PICTURE, bytes_of(GARBAGE)),
    Kind("one-byte.png", NO_PICTURE, bytes_of(b"\x89")),
    Kind("page.jpg", NO_PICTURE, bytes_of(b"<!doctype html><title>404</title>")),
    Kind("postscript.jpg", NO_PICTURE, bytes_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")),
    Kind("drawing.png", NO_PICTURE, bytes_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>")),
    Kind("icon.png", NO_PICTURE, picture("ICO")),
    Kind("cut.jpg", DAMAGED, cut("JPEG")),
    Kind("cut.png", DAMAGED, cut("PNG")),
    Kind("cut.gif", DAMAGED, cut("GIF")),
    Kind("cut.webp", DAMAGED, cut("WEBP")),
    Kind("cut.bmp", DAMAGED, cut("BMP")),
    Kind("cut.tiff", DAMAGED, cut("TIFF")),
    Kind("cut.avif", DAMAGED, cut("AVIF")),
    Kind("cut-in-its-header.png", DAMAGED, bytes_of(encoded("PNG")[:20])),
    Kind("damaged-header.png", DAMAGED, bytes_of(damaged_crc())),
    Kind("no-pixels.png", DAMAGED, bytes_of(png(10, 10))),
    Kind("no-width.png", DAMAGED, bytes_of(png(0, 10, chunk(b"IDAT", zlib.compress(b""))))),
    Kind("bomb.png", "30000x30000 pixels, over the limit of 200 megapixels (--max-pixels)", bytes_of(png_bomb())),
    Kind("bomb.gif", "65535x65535 pixels, over the limit of 200 megapixels", bytes_of(GIF_BOMB)),
    Kind("bomb.bmp", "1048576x1048576 pixels, over the limit", bytes_of(BMP_BOMB)),
    Kind("loop.tiff", DAMAGED, bytes_of(tiff_loop())),
    Kind("lies.tiff", DAMAGED, bytes_of(tiff_of_lies())),
    Kind("broken.heic", DAMAGED, bytes_of(b"\0\0\0\x18ftypheic" + GARBAGE)),
    Kind("huge.jpg", "over the limit of 268,435,456 (--max-bytes)", sparse(300 * 10**6)),
    Kind("pipe.jpg", "not a regular file", os.mkfifo),
    Kind("socket.jpg", "not a regular file", listen),
    Kind("device.jpg", "not a regular file", link_to("/dev/zero")),
    Kind("link-to-nowhere.jpg", "is a link that leads nowhere", link_to("nowhere.jpg")),
    Kind("link-to-itself.jpg", "Too many levels of symbolic links", link_to("link-to-itself.jpg")),
    Kind("unreadable.jpg", "cannot be read", link_to("/proc/self/mem")),  # for root too
    # A picture that is well beside captions that are not.
    Kind("caption-is-latin-1.jpg", TAKEN, captioned(bytes_of("caf\xe9".encode("latin-1")))),
    Kind("caption-has-nul.jpg", TAKEN, captioned(bytes_of(b"a\0b"))),
    Kind("caption-is-empty.jpg", TAKEN, captioned(bytes_of(b"\n \n"))),
    Kind("caption-is-a-folder.jpg", TAKEN, captioned(Path.mkdir)),
    Kind("caption-is-a-pipe.jpg", TAKEN, captioned(os.mkfifo)),
    Kind("caption-is-huge.jpg", TAKEN, captioned(sparse(50 * 10**6))),
]
# fmt: on

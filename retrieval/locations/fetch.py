"""Encoded bytes of an image from where they are, within limits: regular files, tar members, URLs, objects, memory."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from retrieval.errors import ImageError, ImageGivenUp, ImageUnreadable, MissingExtra
from retrieval.locations.deadline import within
from retrieval.types import (
    CellBytes,
    FileBytes,
    InlineBytes,
    Limits,
    Location,
    MemberBytes,
    ObjectBytes,
    PartBytes,
    UrlBytes,
)
from retrieval.uris import hide_passwords, is_url

if TYPE_CHECKING:
    from pathlib import Path

MAX_REDIRECTS = 5
_HEAD_BYTES = 65536  # enough to tell what a file is


def read_bytes(location: Location, limits: Limits) -> bytes:
    """Read all bytes of an image; of one of several in a file, those of the file.

    Only regular files are opened (a fifo or a device would block or never end), no more than ``limits.file_bytes``
    are read, and a download ends within ``limits.seconds`` even from a server that trickles.

    Raises:
        ImageGivenUp: a download was over time.
        ImageUnreadable: an object store does not give the bytes now.
        ImageError: with the reason, in one clause.
    """
    match location:
        case FileBytes(path) | PartBytes(path):
            return _read_file(path, 0, None, limits)
        case MemberBytes(archive, _, offset, size):
            return _read_file(archive, offset, size, limits)
        case CellBytes(table, column, row):
            return _read_cell(table, column, row, limits)
        case UrlBytes(url):
            return _download(url, limits)
        case ObjectBytes():
            return _read_object(location, limits)
        case InlineBytes(data):
            if len(data) > limits.file_bytes:
                raise too_large(len(data), limits)
            return data


def read_head(path: Path) -> bytes:
    """Read the first bytes of a file, for a decoder that opens it itself.

    Raises:
        ImageError: with the reason, in one clause.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ImageError("not a regular file")
            return file.read(_HEAD_BYTES)
    except (OSError, ValueError) as error:
        raise ImageError(_os_reason(error)) from error


def stamp(location: Location) -> str | None:
    """Make a stamp by which a later run sees that the bytes are unchanged; None where only the bytes can tell.

    Raises:
        ImageError: the file is gone.
    """
    match location:
        case FileBytes(path):
            return _file_stamp(path)
        case PartBytes(path, _, place):
            return f"{_file_stamp(path)}:{place}"
        case MemberBytes(archive, _, offset, size, _, place):
            return f"{_file_stamp(archive)}:{offset}+{size}" + (f":{place}" if place else "")
        case CellBytes(table, _, row):
            return f"{_file_stamp(table)}:row={row}"
        case ObjectBytes(at) if at.size is None:
            raise ImageError("cannot be read (there is no such object)")
        case ObjectBytes(at, _, offset, length, _, place):
            extent = "" if length is None else f":{offset}+{length}"
            return f"{at.stamp}{extent}" + (f":{place}" if place else "")
        case UrlBytes():
            return "url"
        case InlineBytes():
            return None


def _read_cell(table: Path, column: str, row: int, limits: Limits) -> bytes:
    from retrieval.locations.parquet_process import (  # late: few corpora are tables of images
        ParquetFault,
        read_cell,
    )

    _file_stamp(table)  # a regular file that is there
    try:
        return read_cell(table.absolute(), column or None, row, limits.file_bytes)
    except (ParquetFault, MissingExtra) as fault:
        raise ImageError(f"cannot be read from the table ({fault})") from fault


def _read_object(location: ObjectBytes, limits: Limits) -> bytes:
    from retrieval.locations.object_copies import read_copy  # late: few corpora lie in a store
    from retrieval.locations.object_store import StoreFault, read_object

    at, offset, length = location.object, location.offset, location.length
    try:
        copied = read_copy(at, offset, length, limits.file_bytes) if length is not None else None
        if copied is not None:
            return copied
        return read_object(at, limits.file_bytes, limits.seconds, offset, length)
    except OverflowError as error:
        raise too_large(error.args[0], limits) from error
    except TimeoutError:
        raise _too_long(limits) from None
    except StoreFault as fault:
        raise ImageUnreadable(f"cannot be read ({fault})") from fault
    except MissingExtra as missing:
        raise ImageUnreadable(str(missing)) from missing


def _file_stamp(path: Path) -> str:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise ImageError(_os_reason(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise ImageError("not a regular file")
    return f"{found.st_size}:{found.st_mtime_ns}"


def _read_file(path: Path, offset: int, size: int | None, limits: Limits) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ImageError("not a regular file")
            wanted = found.st_size - offset if size is None else size
            if wanted > limits.file_bytes:
                raise too_large(wanted, limits)
            file.seek(offset)
            data = file.read(limits.file_bytes + 1 if size is None else size)
    except (OSError, ValueError) as error:
        raise ImageError(_os_reason(error)) from error
    if len(data) > limits.file_bytes:
        raise too_large(len(data), limits)
    if size is not None and len(data) < size:
        raise ImageError(f"the archive ends within this member ({len(data)} of {size} bytes)")
    return data


def _download(url: str, limits: Limits) -> bytes:
    """Download the bytes behind a URL within the deadline, whatever the server does."""
    if not is_url(url):
        raise ImageError("only http and https URLs are fetched")
    deadline = time.monotonic() + limits.seconds
    try:
        return within(limits.seconds, lambda: _transfer(url, limits, deadline))
    except TimeoutError:
        raise _too_long(limits) from None


def _transfer(url: str, limits: Limits, deadline: float) -> bytes:
    import httpx

    from retrieval.locations.addresses import PublicTransport

    transport = None if limits.private_addresses else PublicTransport()
    data = bytearray()
    try:
        with (
            httpx.Client(
                follow_redirects=True,
                max_redirects=MAX_REDIRECTS,
                timeout=limits.seconds,
                transport=transport,
            ) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise ImageError(f"the server answered {response.status_code}")
            for (
                chunk
            ) in response.iter_bytes():  # as it comes: to wait for a full chunk would be to wait for ever
                data += chunk
                if len(data) > limits.file_bytes:
                    raise too_large(len(data), limits)
                if time.monotonic() > deadline:
                    raise _too_long(limits)
    except httpx.TimeoutException as error:
        raise ImageGivenUp(f"the server did not answer within {limits.seconds:g} s (--timeout)") from error
    except httpx.InvalidURL:  # its words repeat parts of the URL, a password among them
        raise ImageError("the download failed (its URL is not valid)") from None
    except (httpx.HTTPError, OSError, ValueError) as error:
        reason = hide_passwords(" ".join(str(error).split()))[:200] or type(error).__name__
        raise ImageError(f"the download failed ({reason}{_about_proxies(error, limits)})") from error
    return bytes(data)


def _about_proxies(error: Exception, limits: Limits) -> str:
    """Explain why a machine that reaches the internet only through a proxy cannot connect."""
    import urllib.request

    import httpx

    if limits.private_addresses or not isinstance(error, (httpx.ConnectError, OSError)):
        return ""
    if not {"http", "https", "all"} & urllib.request.getproxies().keys():
        return ""
    return "; a proxy of the environment is used only with --allow-private"


def _too_long(limits: Limits) -> ImageGivenUp:
    return ImageGivenUp(f"the download took longer than {limits.seconds:g} s (--timeout)")


def too_large(size: int, limits: Limits) -> ImageError:
    """Say that an image has more bytes than are read."""
    return ImageError(f"{size:,} bytes, over the limit of {limits.file_bytes:,} (--max-bytes)")


def _os_reason(error: OSError | ValueError) -> str:
    return f"cannot be read ({getattr(error, 'strerror', None) or error})"

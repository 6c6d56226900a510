"""JSON objects in files that come from strangers: regular files only, bounded in size and depth."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any


def read_object(file: Path, limit_bytes: int) -> dict[str, Any]:
    """Read the JSON object in a file.

    Args:
        file: what it is a link to is read; a pipe or a device is never waited for.
        limit_bytes: a larger file is refused unread.

    Raises:
        OSError: it is not there, not a regular file, or cannot be read.
        ValueError: it is too large, or does not hold a JSON object; the message is a clause such as
            ``is not JSON (...)``, of which the file is the subject.
    """
    return parse_object(read_regular(file, limit_bytes))


def read_regular(file: Path, limit_bytes: int) -> bytes:
    """Read a regular file whole.

    Raises:
        OSError: it is not there, not a regular file, or cannot be read.
        ValueError: it is larger than ``limit_bytes``; the message is a clause.
    """
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        data = stream.read(limit_bytes + 1) if status.st_size <= limit_bytes else None
    if data is None or len(data) > limit_bytes:
        raise ValueError(f"is larger than {limit_bytes:,} bytes")
    return data


def parse_object(data: str | bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        ValueError: it is something else; the message is a clause.
    """
    try:
        value = json.loads(data)
    except RecursionError:
        raise ValueError("is JSON that is nested too deeply") from None
    except (
        ValueError
    ) as error:  # its own faults, bytes that are not UTF-8, integers of more than 4,300 digits
        raise ValueError(f"is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError("does not hold a JSON object")
    return value

"""Where a picture named inside a corpus file is: a file below a folder, or an http(s) URL. Nothing is opened.

A name must not lead out of the folder that the user pointed to, or indexing a downloaded CSV file could show
what it has no business to see (``../../secrets.png``, ``/home/you/passport.jpg``). The check is on names:
symbolic links below the folder are followed, since whoever owns the folder made them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from indexer.corpora.values import is_unicode, kind_of
from retrieval.errors import UsageError
from retrieval.types import Attribute, Failure, FileBytes, Picture, UrlBytes
from retrieval.uris import file_uri, hide_passwords

_URL_LIMIT = 8192  # characters; servers refuse longer ones


class ImageFolder:
    """The folder that picture names count from, and may not leave.

    Args:
        path: the folder.

    Raises:
        UsageError: it is no folder.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise UsageError(
                f"{path} is no folder; pictures are looked for in the folder that --images names"
            )
        self.path = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow links, which change names
        self._prefix = os.path.join(self.path, "")  # noqa: PTH118  a Path drops the separator at the end

    def picture(self, name: object, place: str, attributes: Mapping[str, Attribute]) -> Picture | Failure:
        """The picture that a corpus file names, or why there can be none (``place`` is where it is named)."""
        if not isinstance(name, str) or not name:
            fault = "is empty" if name is None or name == "" else f"is {kind_of(name)}"
            return Failure(place, f"the picture's name {fault}, where a path or a URL is expected")
        if "://" in name:
            fault_of_url = url_fault(name)
            return (
                Failure(place, fault_of_url)
                if fault_of_url
                else Picture(hide_passwords(name), UrlBytes(name), None, attributes)
            )
        if not is_unicode(name) or "\0" in name:
            return Failure(place, f"the picture's name {name!a} cannot be a file's name")
        path = os.path.normpath(self._prefix + name if not os.path.isabs(name) else name)  # noqa: PTH117
        if not path.startswith(self._prefix):
            return Failure(
                place, f"picture {name!a} is not inside {self.path}; if it is meant, pass --images DIR"
            )
        found = Path(path)
        return Picture(file_uri(found), FileBytes(found), None, attributes)

    def holds(self, name: object) -> bool:
        """Whether a name leads to a regular file inside the folder."""
        found = self.picture(name, "", {})
        if isinstance(found, Failure) or not isinstance(found.location, FileBytes):
            return False
        try:
            return found.location.path.is_file()
        except OSError:  # a name that is too long, a folder that may not be searched
            return False


def is_url(text: str) -> bool:
    """Whether a text is spelt like an http(s) URL (which may still have a fault)."""
    return text[:8].lower().startswith(("http://", "https://"))


def url_fault(url: str) -> str | None:
    """Why a URL cannot be downloaded from, in a clause; None where it can be tried."""
    shown = repr(url.rpartition("@")[2][:200].encode("ascii", "backslashreplace").decode())  # no password
    if not is_url(url):
        return f"{shown} is no http or https URL"
    if len(url) > _URL_LIMIT:
        return f"the URL is longer than {_URL_LIMIT:,} characters"
    if not url.isprintable() or " " in url:  # lone surrogates are not printable either
        return f"the URL {shown} holds blanks or control characters; percent-encode them"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return f"{shown} is no URL (its host or its port cannot be read)"
    return None if host else f"the URL {shown} names no host"

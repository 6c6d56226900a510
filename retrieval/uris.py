"""Names of items: ``file:///photos/a.jpg`` for a file, ``file:///data/x.tar#a.jpg`` for a place inside one.

``s3://bucket/photos/a.jpg`` is an object in an S3 store.

Paths are percent-encoded byte by byte, so that any name a file system allows (``#``, blanks, bytes that are no
UTF-8) survives the way into the catalogue and back. The fragment names a tar member, or a caption's place.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes

_SCHEME = "file://"
_STORE = "s3://"
_WORD = re.compile(r"[^\s\"<>]+")
_HTTP = re.compile(r"https?://", re.IGNORECASE)
_AUTHORITY = re.compile(r"[^/?#]*")
_PORT = re.compile(r"[0-9]{0,5}")
_NOT_NORMAL = re.compile(r"^$|//|/\./|^\./|/\.?$")
"""Of a path that ``Path`` writes otherwise."""


def file_uri(path: Path, fragment: str | None = None) -> str:
    """Make the uri of a file, or of a place inside it; a relative path counts from the working directory.

    Halves of surrogate pairs in a fragment, as in the name of a tar member that is not UTF-8, are written as escapes.
    A path with one that stands for no byte, which no file can have, gets a uri that no file has.
    """
    absolute = os.path.abspath(path)  # noqa: PTH100  Path.absolute keeps "..", resolve follows links
    encoded = quote(_path_bytes(absolute.replace(os.sep, "/")))
    if not encoded.startswith("/"):  # a Windows drive
        encoded = f"/{encoded}"
    mark = "" if fragment is None else f"#{quote(fragment, errors='backslashreplace')}"
    return f"{_SCHEME}{encoded}{mark}"


def is_path(text: str) -> bool:
    """Whether a file can have a path: it holds no NUL, and no half of a surrogate pair that stands for no byte."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def object_uri(bucket: str, key: str, fragment: str | None = None) -> str:
    """Make the uri of an object in an S3 store, or of a place inside it; keys are percent-encoded as paths are."""
    mark = "" if fragment is None else f"#{quote(fragment, errors='backslashreplace')}"
    return f"{_STORE}{bucket}/{quote(key)}{mark}"


def is_object_uri(text: str) -> bool:
    """Whether a text is spelt like the uri or the address of an object in an S3 store."""
    return text.startswith(_STORE)


def split_object_uri(uri: str) -> tuple[str, str, str | None] | None:
    """Split the uri of an object into bucket, key and fragment; None where ``uri`` is of another scheme."""
    if not is_object_uri(uri):
        return None
    encoded, mark, fragment = uri.removeprefix(_STORE).partition("#")
    bucket, _, key = encoded.partition("/")
    return bucket, unquote(key), unquote(fragment) if mark else None


def uri_of(name: str) -> str:
    """Give the uri that a name means where it is not a key: the uri itself, or that of a path.

    ``ARCHIVE.tar#MEMBER``, as hits are shown to people, is the member, unless a file has that very name.
    """
    if "://" in name:
        return name
    path, mark, member = name.partition("#")
    if mark and path and member and not Path(name).exists():
        return file_uri(Path(path), member)
    return file_uri(Path(name))


def split_file_uri(uri: str) -> tuple[Path, str | None] | None:
    """Split a file uri into path and fragment; None where ``uri`` is of another scheme."""
    split = split_file_name(uri)
    return None if split is None else (Path(split[0]), split[1])


@lru_cache(maxsize=256)  # whoever shows an item asks for its path several times
def split_file_name(uri: str) -> tuple[str, str | None] | None:
    """Split a file uri as :func:`split_file_uri` does, into texts: making a ``Path`` takes ten times as long."""
    if not uri.startswith(_SCHEME):
        return None
    encoded, mark, fragment = uri.removeprefix(_SCHEME).partition("#")
    is_plain = encoded.isascii() and "%" not in encoded
    path = encoded if is_plain else os.fsdecode(unquote_to_bytes(_as_bytes(encoded)))
    if os.name == "nt":
        path = path.lstrip("/")
    if _NOT_NORMAL.search(path) or os.name == "nt":
        path = str(Path(path))
    return path, unquote(fragment) if mark else None


def _path_bytes(path: str) -> bytes:
    """Give the bytes of a path, as the file system has them where it can; never fails."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return path.encode(errors="surrogatepass")


def _as_bytes(text: str) -> bytes:
    """Give the bytes that a text was made of, if it came from a command line; never fails."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # halves of surrogate pairs that stand for no byte
        return text.encode(errors="surrogatepass")


def expand_home(name: str | Path) -> Path:
    """Replace a leading ``~`` by the home folder; the path stays as it is where no such user or home is known."""
    return Path(os.path.expanduser(name))  # noqa: PTH111  Path.expanduser raises RuntimeError for ~nobody


def display(uri: str) -> str:
    """Format a uri for people: a plain path for files, ``archive.tar#member`` inside them, else the uri itself.

    A name that is not UTF-8 or that holds control characters (a line feed would forge a second line of output,
    an escape would reach the terminal) stays percent-encoded.
    """
    split = split_file_name(uri)
    if split is None:
        return hide_passwords(uri)
    path, fragment = split
    shown = path if fragment is None else f"{path}#{fragment}"
    return shown if shown.isprintable() else uri


def last_part(uri: str) -> str:
    """Format the last part of a uri for people: the name of a file, of an object, or of a place inside one.

    A ``#`` or a backslash in a name is part of it. A name that :func:`display` would not decode stays percent-encoded.
    """
    is_encoded = uri.startswith((_SCHEME, _STORE))
    place, mark, inside = (uri if is_encoded else hide_passwords(uri)).partition("#")
    last = (inside if mark else place).rpartition("/")[2]
    shown = unquote(last, errors="surrogateescape") if is_encoded else last
    return shown if shown.isprintable() else last


def hide_passwords(text: str) -> str:
    """Remove user names and passwords from the http(s) URLs in a text.

    The catalogue holds URLs so; what stands in a URL's path or query (``?token=...``) stays.
    """
    return _WORD.sub(lambda word: _without_userinfo(word[0]), text) if "@" in text else text


def _without_userinfo(word: str) -> str:
    """Remove user names and passwords from the URLs in a text without blanks, in time linear in its length."""
    last, kept, position = word.rfind("@"), list[str](), 0
    while (scheme := _HTTP.search(word, position)) is not None and scheme.end() <= last:
        kept.append(word[position : scheme.end()])
        position = _end_of_userinfo(word, scheme.end())
    return "".join([*kept, word[position:]])


def _end_of_userinfo(word: str, start: int) -> int:
    """Find where the host of a URL begins whose authority begins at ``start``."""
    while True:
        found = _AUTHORITY.match(word, start)
        assert found is not None  # it may be empty
        authority = found[0]
        if "@" in authority:
            start += authority.rindex("@") + 1
        elif _may_be_password(authority) and (at := word.find("@", found.end())) >= 0:
            start = at + 1
        else:
            return start


def _may_be_password(authority: str) -> bool:
    """Whether an authority without ``@`` is a name with a password that a bare slash cuts off: no valid URL."""
    _, colon, rest = authority.partition(":")
    return bool(colon) and not authority.startswith("[") and _PORT.fullmatch(rest) is None


def is_url(text: str) -> bool:
    """Whether a text is spelt like an http(s) URL, which may still have a fault."""
    return text[:8].lower().startswith(("http://", "https://"))


def is_missing(uri: str) -> bool:
    """Whether the file that a uri names, or names a place in, is not there; False for URLs and where it is unknown."""
    split = split_file_name(uri)
    if split is None:
        return False
    try:
        os.stat(split[0])  # noqa: PTH116 - a search asks it of each hit
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False

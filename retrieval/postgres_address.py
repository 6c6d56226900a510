"""Addresses of collections on a PostgreSQL server: ``postgresql://USER@HOST/DATABASE/NAME``.

A collection is a schema of the database, of the name NAME. What stands before it, and after a question mark, is
PostgreSQL's own notation for a connection. Passwords are passed on and never shown.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from retrieval.errors import UsageError
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.shell import shell_command
from retrieval.uris import hide_passwords, is_path, is_url

FORM = "postgresql://USER@HOST/DATABASE/NAME"

_SCHEMES = ("postgresql", "postgres")
_ADDRESS = re.compile(rf"({'|'.join(_SCHEMES)}):/", re.IGNORECASE)  # one slash where it went through a Path
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_RESERVED = re.compile(r"pg_.*|public|information_schema")
_SECRET = frozenset({"password", "sslpassword", "passfile", "sslkey"})


def is_address(text: str) -> bool:
    """Whether a text means a server rather than a folder."""
    return _ADDRESS.match(text) is not None


def parse_address(text: str) -> ServerAddress:
    """Parse the address of a collection on a server.

    Raises:
        UsageError: it has another form; the sentence repeats nothing that may be a password.
    """
    try:
        parts = urlsplit(text)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        is_read = parts.scheme in _SCHEMES and not parts.fragment and parts.port != 0
    except ValueError:
        is_read = False
    if not is_read or text != text.strip() or not text.isprintable():
        raise UsageError(
            f"the address of a collection on a server cannot be read; it has the form {FORM}, in which the characters "
            "# / ? : @ of a password are written %23 %2F %3F %3A %40"
        )
    database, _, name = parts.path.strip("/").partition("/")
    if not database or not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise UsageError(
            f"the address of a collection on a server has the form {FORM}, in which NAME is made of lower-case "
            "letters, digits and _, begins with a letter, and is none of PostgreSQL's own names (public, pg_...)"
        )
    user, at, host = parts.netloc.rpartition("@")
    plain = urlencode([pair for pair in query if pair[0] not in _SECRET], safe="/:")
    return ServerAddress(
        urlunsplit(("postgresql", f"{user.partition(':')[0]}{at}{host}", f"/{database}/{name}", plain, "")),
        name,
        urlunsplit(("postgresql", parts.netloc, f"/{database}", parts.query, "")),
    )


def place_of(named: str | Path) -> CollectionPlace:
    """Give the place that a name means: an address, or a folder as it is named.

    Raises:
        UsageError: it is an address that cannot be read, or that of a web server.
    """
    if isinstance(named, str) and is_url(named):
        raise UsageError(
            f"{hide_passwords(named)} is the address of a web server, and a collection is a folder, or {FORM}; "
            "ask a vlsearch server with retrieval.connect"
        )
    return parse_address(named) if isinstance(named, str) and is_address(named) else Path(named)


def check_path(path: Path) -> None:
    """Refuse a path that no file and no folder can have.

    Raises:
        UsageError: it holds a NUL character, or half of a surrogate pair that stands for no byte.
    """
    if not is_path(str(path)):
        raise UsageError(f"{str(path)!a} cannot be the path of a folder; name another one")


def require_folder(place: CollectionPlace, what: str = "this") -> Path:
    """Refuse a collection on a server, where one in a folder is needed.

    Args:
        place: of the collection; an address is found in a path, too.
        what: is not possible, the subject of the sentence.

    Raises:
        UsageError: it is on a server, or no folder can have the path.
    """
    if isinstance(place, Path) and not is_address(str(place)):
        check_path(place)
        return place
    # the address in a path may have a password
    source = place if isinstance(place, ServerAddress) else FORM
    raise UsageError(
        f"{what} is not possible on a PostgreSQL collection yet; copy it to a folder with: "
        f"{shell_command('copy', str(source), 'FOLDER')}"
    )

r"""Let standard output and standard error survive any encoding.

A terminal of GBK, Latin-1 or ASCII cannot show every text that is indexed. Marks that have a plain form are written
in it, and everything else as an escape (``\u96ea``), so that no output ends in a traceback. Bytes (paths into a
pipe, JSON) pass by unchanged.
"""

from __future__ import annotations

import codecs
import functools
import io
import sys

_HANDLER = "vlsearch-readable"
_ASCII = "vlsearch_ascii"

# fmt: off
_PLAIN = {  # what this program and rich print themselves
    "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "×": "x", "·": "*", "•": "*",
    "─": "-", "━": "-", "│": "|", "\N{NO-BREAK SPACE}": " ",
}
# fmt: on


def survive_any_encoding() -> None:
    """Make stdout and stderr replace characters that they cannot encode instead of raising."""
    _register()
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(
            stream, io.TextIOWrapper
        ):  # closed by the parent, or replaced by an embedding program
            continue
        # click writes UTF-8 to a stream whose codec is named ascii, which is not what the user asked for
        is_ascii = codecs.lookup(stream.encoding).name == "ascii"
        stream.reconfigure(encoding=_ASCII if is_ascii else None, errors=_HANDLER)


@functools.cache
def _register() -> None:
    codecs.register_error(_HANDLER, _replace)
    codecs.register(_find_ascii)


def shows(mark: str) -> bool:
    """Whether standard error can encode a character."""
    try:
        mark.encode(getattr(sys.stderr, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    failed = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character) or _escaped(character) for character in failed), error.end


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode("ascii")


def _find_ascii(name: str) -> codecs.CodecInfo | None:
    """Give the codec of ASCII under the name that :func:`survive_any_encoding` registers."""
    if name != _ASCII:
        return None
    ascii_codec = codecs.lookup("ascii")
    return codecs.CodecInfo(
        name=_ASCII,
        encode=ascii_codec.encode,
        decode=ascii_codec.decode,
        incrementalencoder=ascii_codec.incrementalencoder,
        incrementaldecoder=ascii_codec.incrementaldecoder,
        streamreader=ascii_codec.streamreader,
        streamwriter=ascii_codec.streamwriter,
    )

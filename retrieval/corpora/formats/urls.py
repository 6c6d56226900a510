"""A text file with one http(s) URL a line, and after a tab a caption, if one likes. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

from retrieval.corpora.corpus import Corpus, Entries
from retrieval.corpora.locate import url_fault
from retrieval.corpora.names import FileNames
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.textfile import estimate_lines, read_lines
from retrieval.corpora.values import text_at
from retrieval.types import Entry, Failure, Picture, Text, UrlBytes
from retrieval.uris import hide_passwords


def open_urls(path: Path, options: CorpusOptions) -> Corpus:
    """The pictures behind the URLs in a file; a picture is named by its URL, a caption ``L12`` by its line.

    Raises:
        CorpusFormatError: it cannot be read, or is UTF-16 or UTF-32.
    """
    next(read_lines(path), None)  # so that a file that cannot be read is an error now
    names = FileNames(path)
    return Corpus(names.whole, "urls", lambda _: _entries(names, options.lang), estimate_lines(path))


def _entries(names: FileNames, lang: str | None) -> Entries:
    for number, line, fault in read_lines(names.path):
        uri = names.part(f"L{number}")
        url, _, caption = line.partition("\t")
        url = url.strip()
        fault = fault or (url_fault(url) if line.strip() else None)
        if fault:
            yield Failure(uri, fault)
        elif url:
            found = list(text_at(caption, uri, lang))
            yield from (failure for failure in found if isinstance(failure, Failure))
            yield Entry(
                Picture(hide_passwords(url), UrlBytes(url)),
                tuple(text for text in found if isinstance(text, Text)),
            )

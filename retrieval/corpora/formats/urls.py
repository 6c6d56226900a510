"""A text file with one http(s) URL a line, and after a tab a caption, if one likes. Nothing is downloaded."""

from __future__ import annotations

from retrieval.corpora.corpus import Corpus, Entries
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.format import Format
from retrieval.corpora.locate import url_fault
from retrieval.corpora.names import FileNames
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.textfile import estimate_lines, read_lines
from retrieval.corpora.values import text_at
from retrieval.types import CorpusImage, CorpusText, Entry, Failure, UrlBytes
from retrieval.uris import hide_passwords, is_url


def open_urls(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a list of URLs of images: an image is named by its URL, a caption ``L12`` by its line.

    Raises:
        CorpusFormatError: it cannot be read, or is UTF-16 or UTF-32.
    """
    path = at.path
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
                CorpusImage(hide_passwords(url), UrlBytes(url)),
                tuple(text for text in found if isinstance(text, CorpusText)),
            )


FORMAT = Format(
    name="urls",
    title="a text file with one URL a line",
    help="One http(s) URL of a picture a line, and after a tab a caption, if you like.",
    uri="#L12",
    open=open_urls,
    is_content=lambda at: at.first_line is not None and is_url(at.first_line),
    shown_names=(".txt",),
)

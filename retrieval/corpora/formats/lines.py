"""A text file with one caption a line: a corpus of texts."""

from __future__ import annotations

from collections.abc import Iterable

from retrieval.corpora.corpus import Corpus, Entries
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.format import Format
from retrieval.corpora.names import FileNames
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.textfile import Line, estimate_lines, read_lines
from retrieval.corpora.values import text_at
from retrieval.types import Entry, Failure


def open_lines(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a file of texts, one on each line that is not blank, named ``L12`` by its line.

    Raises:
        CorpusFormatError: it cannot be read, or is UTF-16 or UTF-32.
    """
    path = at.path
    next(read_lines(path), None)  # so that a file that cannot be read is an error now
    names = FileNames(path)
    return Corpus(names.whole, "lines", lambda _: read_captions(names, options.lang), estimate_lines(path))


def read_captions(names: FileNames, lang: str | None) -> Entries:
    """Stream the texts of a file, one a line that is not blank."""
    return captions_in(read_lines(names.path), names.whole, lang)


def captions_in(lines: Iterable[Line], whole: str, lang: str | None) -> Entries:
    """Stream the texts in the lines of what the uri ``whole`` names."""
    for number, line, fault in lines:
        uri = f"{whole}#L{number}"
        if fault:
            yield Failure(uri, fault)
            continue
        for text in text_at(line, uri, lang):
            yield text if isinstance(text, Failure) else Entry(None, (text,))


FORMAT = Format(
    name="lines",
    title="a text file with one caption a line",
    help="Captions without pictures, one a line.",
    uri="#L12",
    open=open_lines,
    is_content=lambda at: at.first_line is not None,
    shown_names=(".txt",),
)

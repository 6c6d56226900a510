"""Flickr8k's and Flickr30k's own caption files: ``1000268201_693b08cb0e.jpg#0<tab>A child in a pink dress ...``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby, islice

from retrieval.corpora.corpus import TEXTS_LIMIT, Corpus, Entries
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.format import Format
from retrieval.corpora.locate import ImageFolder, choose_folder
from retrieval.corpora.names import FileNames
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.textfile import estimate_lines, read_lines
from retrieval.corpora.values import text_at
from retrieval.errors import CorpusFormatError
from retrieval.types import CorpusText, Entry, Failure

_LINE = re.compile(r"(?P<name>[^\t#]+\.[A-Za-z0-9_]{2,8})#(?P<number>\d{1,9})\t(?P<caption>.*)", re.DOTALL)
_PROBED = 20


def open_flickr(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a ``*.token.txt`` or ``*.token`` file of images and captions; a caption is named ``L12`` by its line.

    Raises:
        CorpusFormatError: it cannot be read, or its first lines are none of such a file.
        UsageError: ``options.images`` is not a folder.
    """
    path = at.path
    first = [_LINE.match(line.text) for line in islice(read_lines(path), _PROBED)]
    matched = [match["name"] for match in first if match is not None]
    if not matched:
        fault = "no line is a picture's name, #, a number, a tab and a caption"
        raise CorpusFormatError(str(path), fault, "Check the file and --format")
    folder, note = choose_folder(path, options.images, matched)
    names = FileNames(path)
    lines = estimate_lines(path)
    return Corpus(names.whole, "flickr", lambda _: _entries(names, folder, options.lang), lines, note)


def _entries(names: FileNames, folder: ImageFolder, lang: str | None) -> Entries:
    """Make an entry of each run of lines that name the same image."""
    for name, lines in groupby(_lines(names), key=lambda line: line[0]):
        if name is None:
            yield from (Failure(place, fault) for _, place, fault in lines)
            continue
        texts: list[CorpusText] = []
        first = ""
        for _, place, caption in islice(lines, TEXTS_LIMIT + 1):
            first = first or place
            for text in text_at(caption, place, lang):
                if isinstance(text, Failure):
                    yield text
                else:
                    texts.append(text)
        image = folder.image(name, first, {})
        yield image if isinstance(image, Failure) else Entry(image, tuple(texts))


def _lines(names: FileNames) -> Iterator[tuple[str | None, str, str]]:
    """Parse each line into image name, place and caption; for a faulty line: None, place and fault."""
    for number, line, fault in read_lines(names.path):
        place = names.part(f"L{number}")
        match = _LINE.fullmatch(line)
        if fault or (match is None and line.strip()):
            yield None, place, fault or "the line is not a picture's name, #, a number, a tab and a caption"
        elif match is not None:
            yield match["name"], place, match["caption"]


FORMAT = Format(
    name="flickr",
    title="Flickr captions",
    help="Captions of Flickr8k and Flickr30k: NAME.jpg#0, a tab and the caption on each line.",
    uri="#L12",
    open=open_flickr,
    is_content=lambda at: at.first_line is not None and _LINE.match(at.first_line) is not None,
    options=frozenset({"images"}),
    shown_names=(".token.txt", ".token"),
)

"""How a record of any table (CSV, JSONL, Parquet) becomes an entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from retrieval.corpora.columns import Columns
from retrieval.corpora.corpus import Entries
from retrieval.corpora.locate import ImageFolder, choose_folder
from retrieval.corpora.names import FileNames
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.values import attributes_of, texts_in
from retrieval.types import CorpusImage, CorpusText, Entry, Failure


@dataclass(frozen=True, slots=True)
class Table:
    """A file of records, with the meaning of their fields.

    Fields that are neither image nor caption become attributes: of the image, or of each text where the
    table has no images.
    """

    names: FileNames
    columns: Columns
    images: ImageFolder
    lang: str | None

    def entries(self, record: Mapping[str, object], row: str) -> Entries:
        """Make the entry of a record, after the failures of its single captions.

        An image without captions is an entry. A record without an image is a failure if the table has
        an image column; a record without captions is one if it has none.

        Args:
            record: fields by name.
            row: name of its place, such as ``row=12``; captions are named ``row=12/caption/0``.
        """
        place = self.names.part(row)
        attributes = attributes_of(record, self.columns.used)
        texts: list[CorpusText] = []
        failures: list[Failure] = []
        for column in self.columns.captions:
            for found in texts_in(record.get(column.name), place, column.name, column.lang or self.lang):
                if isinstance(found, CorpusText):
                    texts.append(found)
                else:
                    failures.append(found)
        if self.columns.image is None:
            yield from failures
            for text in texts:
                yield Entry(None, (replace(text, attributes=attributes),))
            if not texts and not failures:
                yield Failure(place, "the caption is empty")
            return
        image = self.images.image(record.get(self.columns.image), place, attributes)
        if isinstance(image, Failure):
            yield image
        else:
            yield from failures
            yield Entry(image, tuple(texts))

    def entries_of_stored_image(self, image: CorpusImage, record: Mapping[str, object], row: str) -> Entries:
        """Make the entry of an image that the record itself stores; ``record`` holds the other fields."""
        place = self.names.part(row)
        texts: list[CorpusText] = []
        for column in self.columns.captions:
            for found in texts_in(record.get(column.name), place, column.name, column.lang or self.lang):
                if isinstance(found, CorpusText):
                    texts.append(found)
                else:
                    yield found
        attributes = {**image.attributes, **attributes_of(record, self.columns.used)}
        yield Entry(replace(image, attributes=attributes), tuple(texts))


PROBED = 20
"""Rows at the start of a table that say where its images are."""


def table_of(
    path: Path, columns: Columns, options: CorpusOptions, first: Iterable[Mapping[str, object]]
) -> tuple[Table, str | None]:
    """Make the table of a file, with a note on where its images are, if one is due.

    Args:
        path: the file.
        columns: those of it to read.
        options: with the folder that image names count from, if the caller named it.
        first: the first records.

    Raises:
        UsageError: ``options.images`` is not a folder.
    """
    names = [] if columns.image is None else [record.get(columns.image) for record in first]
    folder, note = choose_folder(path, options.images, names)
    return Table(FileNames(path), columns, folder, options.lang), note

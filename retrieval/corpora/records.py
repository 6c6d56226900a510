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
    """A file of records, and which of their fields mean what.

    Fields that are neither picture nor caption become attributes: of the picture, or of each text where the
    table has no pictures.
    """

    names: FileNames
    columns: Columns
    images: ImageFolder
    lang: str | None

    def entries(self, record: Mapping[str, object], row: str) -> Entries:
        """The entry in a record, after the failures of its single captions.

        A picture without captions is an entry. A record without a picture is a failure where the table has a
        picture column, and one without captions where it has none.

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
        picture = self.images.picture(record.get(self.columns.image), place, attributes)
        if isinstance(picture, Failure):
            yield picture
        else:
            yield from failures
            yield Entry(picture, tuple(texts))

    def entries_of(self, picture: CorpusImage, record: Mapping[str, object], row: str) -> Entries:
        """The same for a picture that the record itself stores; ``record`` holds the other fields."""
        place = self.names.part(row)
        texts: list[CorpusText] = []
        for column in self.columns.captions:
            for found in texts_in(record.get(column.name), place, column.name, column.lang or self.lang):
                if isinstance(found, CorpusText):
                    texts.append(found)
                else:
                    yield found
        attributes = {**picture.attributes, **attributes_of(record, self.columns.used)}
        yield Entry(replace(picture, attributes=attributes), tuple(texts))


PROBED = 20
"""Rows at the start of a table that say where its pictures are."""


def table_of(
    path: Path, columns: Columns, options: CorpusOptions, first: Iterable[Mapping[str, object]]
) -> tuple[Table, str | None]:
    """The table in a file, and a note on its pictures, if there is one.

    Args:
        path: the file.
        columns: those of it to read.
        options: with the folder that picture names count from, if the caller named it.
        first: the first records.

    Raises:
        UsageError: ``options.images`` is not a folder.
    """
    names = [] if columns.image is None else [record.get(columns.image) for record in first]
    folder, note = choose_folder(path, options.images, names)
    return Table(FileNames(path), columns, folder, options.lang), note

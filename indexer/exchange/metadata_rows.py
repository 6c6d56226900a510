"""The metadata beside exchanged vectors: Parquet, a batch at a time, each row checked by the rules of items.

A row that cannot be taken is a fault, a clause that says why; a file that cannot be read is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.exchange.image_texts import parse_texts
from indexer.exchange.layout import COLUMNS, NUMBERS
from indexer.store.changes import NewImageText
from indexer.store.item_rules import attributes_fault, extent_fault, size_fault
from retrieval.collection.catalogue import VALUE_BYTES
from retrieval.corpora.textfile import LINE_LIMIT
from retrieval.corpora.values import attributes_of, text_fault
from retrieval.errors import CorpusFormatError
from retrieval.texts import is_unicode, normalise_text
from retrieval.types import Attribute, Origin
from retrieval.uris import file_uri, hide_passwords

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH_ROWS = 1024
# Of a batch as its file states them; a file that lies is read row by row all the same.
_BATCH_BYTES = 64 * 2**20
_BATCH_VALUES = 2**18
_FILE_BYTES = 8 * 2**30  # unpacked, of a partition; one of a million LAION rows has one GiB
# Of a cell of an export: what the catalogue holds of one value. Three texts of a picture, every character an escape of
# six, take 18 MiB of it, beside their boxes.
EXPORTED_CELL_BYTES = VALUE_BYTES
EXPORTED_CHARACTERS = (
    4 * VALUE_BYTES
)  # of a row of an export: a text, two objects of attributes, and the rest
_INDEX = "__index_level_"  # what pandas calls a frame's index
_AGAIN = "Copy it again"

Attributes = Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class ImageColumns:
    """What a row says of its image; ``uri`` is None where it does not say where the image is."""

    uri: str | None
    key: str | None = None
    sha256: bytes | None = None
    width: int | None = None
    height: int | None = None
    attributes: Attributes = field(default_factory=dict)
    stamp: str | None = None
    extent: str | None = None
    texts: Mapping[Origin, NewImageText] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaptionColumns:
    """What a row says of its caption; ``words`` are normalised, and empty where there is none."""

    words: str
    uri: str | None = None
    key: str | None = None
    lang: str | None = None
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """A row that can be taken.

    ``size_characters`` is about what it holds in memory; a text that rows share is counted with the first of them.
    """

    image: ImageColumns
    caption: CaptionColumns
    size_characters: int


def count_rows(path: Path) -> int:
    """Read the number of rows from a file's footer, after checking its columns; no row is read.

    Raises:
        CorpusFormatError: it is not a Parquet file, or a known column holds something else than its name says.
    """
    with _opened(path) as file:
        _check_columns(path, file.schema_arrow)
        if (stated := _stated_bytes(file)) > _FILE_BYTES:
            fault = f"holds {stated:,} bytes once it is unpacked, more than {_FILE_BYTES:,}"
            raise CorpusFormatError(str(path), fault, "Write it in several partitions")
        return int(file.metadata.num_rows)


def read_rows(path: Path, exported: bool = False) -> Iterator[MetadataRow | str]:
    """Stream the rows of a file; in place of a row that cannot be used, the reason why.

    Args:
        path: of the file.
        exported: it is of an export of a collection, whose rows may hold all that a catalogue does.

    Raises:
        CorpusFormatError: the file cannot be read.
    """
    limits = _RowLimits(exported)
    with _opened(path) as file:
        names = [column.name for column in file.schema_arrow if _is_plain(column.type)]
        names = [name for name in names if not name.startswith(_INDEX)]
        for batch in file.iter_batches(_batch_rows(file, len(names)), columns=names):
            decoded = _Decoded()
            columns = {
                name: _values(column, decoded, limits)
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            }
            for at in range(batch.num_rows):
                decoded.characters = 0
                yield _row(columns, at, decoded, limits)


@dataclass(slots=True)
class _RowLimits:
    """How long the rows of a file may be; the long ones of an export, together, as long as a file may be."""

    exported: bool
    left: int = field(default_factory=lambda: _FILE_BYTES)

    @property
    def cell_bytes(self) -> int:
        """Bytes of one text."""
        return EXPORTED_CELL_BYTES if self.exported else 4 * LINE_LIMIT

    @property
    def characters(self) -> int:
        """Characters of all texts of a row."""
        return EXPORTED_CHARACTERS if self.exported else LINE_LIMIT

    def check(self, characters: int) -> None:
        """Count a row.

        Raises:
            ValueError: it is too long; the message is a clause.
        """
        if characters <= LINE_LIMIT:
            return
        self.left -= characters
        if characters > self.characters:
            raise ValueError(f"the row is longer than {self.characters:,} characters")
        if self.left < 0:
            raise ValueError(f"the long rows of the file have more than {_FILE_BYTES:,} characters")


@dataclass(slots=True)
class _Decoded:
    """How many characters a row has decoded that no row of its batch had before."""

    characters: int = 0


def _row(
    columns: Mapping[str, Callable[[int], object]], at: int, decoded: _Decoded, limits: _RowLimits
) -> MetadataRow | str:
    record: dict[str, object] = {}
    for name, value_at in columns.items():
        try:
            record[name] = value_at(at)
        except ValueError as error:  # a UnicodeDecodeError is one
            return f"column {name!r} holds a value that cannot be read ({error})"
    try:
        return _parsed(record, decoded.characters, limits)
    except ValueError as error:
        return str(error)


def _parsed(record: Mapping[str, object], fresh: int, limits: _RowLimits) -> MetadataRow:
    """Parse a record, checking every value against the rules of items.

    Raises:
        ValueError: one does not; the message is a clause.
    """
    limits.check(sum(len(value) for value in record.values() if isinstance(value, str)))
    attributes = _attributes(record, "image_attributes")
    width, height = _pixels(record, "image_width"), _pixels(record, "image_height")
    _check(size_fault(width, height))
    extent = _word(record, "image_extent")
    _check(extent_fault(extent))
    image = ImageColumns(
        uri=_word(record, "image_uri") or _foreign_uri(record),
        key=_word(record, "image_key"),
        sha256=_digest(_word(record, "image_sha256")),
        width=width,
        height=height,
        attributes=attributes,
        stamp=_word(record, "image_stamp"),
        extent=extent,
        texts=parse_texts(texts) if (texts := _word(record, "image_texts")) else {},
    )
    words = _word(record, "caption") or ""
    # what a collection holds already is taken whatever its length
    _check(text_fault(words) if not limits.exported or not is_unicode(words) else None)
    caption = CaptionColumns(
        words=normalise_text(words),
        uri=_word(record, "caption_uri"),
        key=_word(record, "caption_key"),
        lang=_word(record, "caption_lang"),
        attributes=_attributes(record, "caption_attributes") if "caption_attributes" in record else {},
    )
    parsed_columns = ("image_attributes", "image_texts", "caption_attributes")
    parsed = sum(len(_word(record, name) or "") for name in parsed_columns)
    changed = 0 if caption.words is words else len(caption.words)
    return MetadataRow(image, caption, fresh + parsed + changed)


def _check(fault: str | None) -> None:
    if fault is not None:
        raise ValueError(fault)


def _word(record: Mapping[str, object], column: str) -> str | None:
    """Read the text in a column; None if there is none or it is empty."""
    value = record.get(column)
    return value if isinstance(value, str) and value else None


def _pixels(record: Mapping[str, object], column: str) -> int | None:
    """Read a width or height; 0 and NaN, by which pandas says that there is none, give None."""
    value = record.get(column)
    if not isinstance(value, (int, float)) or value == 0 or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"the {column.removeprefix('image_')} is {value}, not a whole number")
    return int(value)


def _digest(spelt: str | None) -> bytes | None:
    if spelt is None:
        return None
    try:
        digest = bytes.fromhex(spelt)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise ValueError("image_sha256 is not 64 hexadecimal digits")
    return digest


def _foreign_uri(record: Mapping[str, object]) -> str | None:
    """Make the uri of a row that vlsearch did not write: its URL, or its path if that is absolute."""
    url, path = _word(record, "url"), _word(record, "image_path")
    if url is not None:
        return hide_passwords(url)
    if path is None or "://" in path:
        return path
    return file_uri(Path(path)) if Path(path).is_absolute() else None


def _attributes(record: Mapping[str, object], column: str) -> Attributes:
    """Read the attributes that our column holds, or, in a foreign file, the values of all other columns."""
    if column not in record:
        return attributes_of(record, COLUMNS)
    text = _word(record, column)
    if text is None:
        return {}
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{column} is not JSON") from None
    if not isinstance(held, dict):
        raise ValueError(f"{column} is not a JSON object")
    _check(attributes_fault(held))
    return held


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; its errors become CorpusFormatError.

    Raises:
        CorpusFormatError: it cannot be read.
    """
    import pyarrow as pa  # late: slow to come up
    import pyarrow.parquet as pq

    if not path.is_file():  # a pipe would be waited for
        raise CorpusFormatError(str(path), "is not a regular file", _AGAIN)
    try:
        # an open file, because a name that is not UTF-8 cannot be passed to pyarrow
        with path.open("rb") as opened:
            texts = [column.name for column in pq.read_schema(opened) if _is_text(column.type)]
            opened.seek(0)
            # texts stay in their dictionary: written out, one long text can take gigabytes
            with pq.ParquetFile(opened, read_dictionary=texts) as file:
                yield file
    except MemoryError as error:  # pyarrow's is one, too
        raise CorpusFormatError(str(path), "needs more memory than there is", _AGAIN) from error
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CorpusFormatError(str(path), f"cannot be read ({reason})", _AGAIN) from error


def _check_columns(path: Path, schema: pa.Schema) -> None:
    """Refuse a file whose known columns hold something else than their names say.

    Raises:
        CorpusFormatError: it is one.
    """
    names = schema.names
    for name in COLUMNS:
        if names.count(name) > 1:
            raise CorpusFormatError(str(path), f"has several columns {name}", "Leave one of them")
        if name not in names:
            continue
        kind, is_wanted = schema.field(name).type, _is_number if name in NUMBERS else _is_text
        if not is_wanted(kind):
            wanted = "whole numbers" if name in NUMBERS else "texts"
            fault = f"holds {kind} in column {name}, where {wanted} belong"
            raise CorpusFormatError(str(path), fault, "Rename the column")


def _batch_rows(file: pq.ParquetFile, columns: int) -> int:
    """Rows to read at a time: as many as stay within a batch's bytes and values, at least one."""
    of_row = max(1, _stated_bytes(file) // max(1, int(file.metadata.num_rows)))
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // of_row, _BATCH_VALUES // max(1, columns)))


def _stated_bytes(file: pq.ParquetFile) -> int:
    """Sum up the uncompressed bytes that the file states."""
    facts = file.metadata
    return int(sum(max(0, facts.row_group(group).total_byte_size) for group in range(facts.num_row_groups)))


def _values(column: pa.Array, decoded: _Decoded, limits: _RowLimits) -> Callable[[int], object]:
    """Make a function that reads the value of a column in a row; it raises ValueError if the value cannot be read."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        return _texts(column, decoded, limits.cell_bytes)
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.string())  # Python's times have microseconds, those of Parquet nanoseconds
    return lambda at: column[at].as_py()


def _texts(column: pa.DictionaryArray, decoded: _Decoded, most_bytes: int) -> Callable[[int], object]:
    import pyarrow.compute as pc

    indices, dictionary = column.indices.to_pylist(), column.dictionary
    lengths = pc.binary_length(dictionary)
    read: dict[int, str] = {}

    def value_at(at: int) -> str | None:
        index = indices[at]
        if index is None or not dictionary[index].is_valid:
            return None
        if index not in read:
            if lengths[index].as_py() > most_bytes:
                raise ValueError(f"it is longer than {most_bytes // 4:,} characters")
            read[index] = dictionary[index].as_py()
            decoded.characters += len(read[index])
        return read[index]

    return value_at


def _is_plain(kind: pa.DataType) -> bool:
    """Whether values of a type are single ones that an attribute can hold."""
    import pyarrow as pa

    types = pa.types
    return bool(
        _is_text(kind)
        or _is_number(kind)
        or types.is_boolean(kind)
        or types.is_temporal(kind)
        or types.is_decimal(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))

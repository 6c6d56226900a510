"""Which columns of a table hold images and captions: the named ones, else those with a usual name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from retrieval.corpora.options import CaptionColumn, CorpusOptions
from retrieval.errors import CorpusFormatError

IMAGE_NAMES = (
    "image", "image_path", "image_file", "image_name", "image_url", "img", "img_path", "img_url",
    "filepath", "file_path", "file_name", "filename", "file", "path", "url",
)  # fmt: skip
CAPTION_NAMES = (
    "caption", "captions", "text", "texts", "sentence", "sentences", "description", "descriptions", "comment",
)  # fmt: skip

_SHOWN = 30  # names in an error


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns to read; without ``image`` a corpus has texts alone, without ``captions`` images alone."""

    image: str | None
    captions: tuple[CaptionColumn, ...]

    @property
    def used(self) -> frozenset[str]:
        """Names of the image column and the caption columns; all other columns are attributes."""
        names = {column.name for column in self.captions}
        return frozenset(names if self.image is None else names | {self.image})


def choose_columns(place: str, names: Sequence[str], options: CorpusOptions) -> Columns:
    """Choose the columns to read out of those that a table has.

    Args:
        place: of the table, for an error.
        names: of its columns; a usual name is matched whatever its case.
        options: what the caller named; either kind that they named nothing of is looked for.

    Raises:
        CorpusFormatError: a named column is not there, twice there, two have a usual name, or none has.
    """
    captions = options.caption_columns or tuple(
        CaptionColumn(name) for name in _usual(place, names, CAPTION_NAMES, "--caption-column")
    )
    image = options.image_column
    if image is None:
        taken = {column.name for column in captions}
        usual = _usual(place, [name for name in names if name not in taken], IMAGE_NAMES, "--image-column")
        image = usual[0] if usual else None
    for name in (*(column.name for column in captions), *([image] if image is not None else [])):
        if names.count(name) != 1:
            fault = f"has {'no' if name not in names else 'more than one'} column {name!r}"
            raise CorpusFormatError(
                place, f"{fault}; {_listed(names)}", "Name a column that stands there once"
            )
    if image is None and not captions:
        raise CorpusFormatError(
            place,
            f"has no column with a usual name for pictures or captions; {_listed(names)}",
            "Name them with --image-column and --caption-column",
        )
    return Columns(image, captions)


def has_usual_columns(names: Iterable[str]) -> bool:
    """Whether names can only be the header of a table of images and captions."""
    lowered = {name.strip().lower() for name in names}
    return not lowered.isdisjoint(IMAGE_NAMES) and not lowered.isdisjoint(CAPTION_NAMES)


def _usual(place: str, names: Sequence[str], usual: Sequence[str], option: str) -> list[str]:
    found = [name for name in names if name.lower() in usual]
    if len(found) > 1:
        fault = f"the columns {', '.join(found)} could all be meant; {_listed(names)}"
        raise CorpusFormatError(place, fault, f"Choose with {option}")
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
    return f"its columns are: {shown}" if names else "it has no columns"

"""Names for tags of pictures and for groups: the bundled ones, in English and Chinese, or the user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from retrieval.encoders.batches import INDEXING
from retrieval.errors import UsageError
from retrieval.texts import fold, is_unicode, normalise_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.encoders.base import Encoder
    from retrieval.identity import Identity

BUNDLED = Path(__file__).with_name("everyday.tsv")
BUNDLED_NAME = "everyday 1"
"""Its number rises with every change of the names."""

Languages = Literal["first", "other", "both"]

MOST_NAMES = 10_000
LONGEST = 100  # characters of a name
LARGEST_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class VocabularyName:
    """A name, and the same in another language where that is known."""

    name: str
    other: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The name in all languages that it is known in."""
        return (self.name,) if self.other is None else (self.name, self.other)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names to choose from, each once; ``called`` tells vocabularies apart, the same file having the same name."""

    called: str
    names: tuple[VocabularyName, ...]

    def vectors(self, encoder: Encoder, languages: Languages = "first") -> list[NDArray[np.float32]]:
        """Encode the names: for each, (1 or 2, d) float32 unit rows of its texts in these languages."""
        if not self.names:
            return []
        texts = [_in_languages(name, languages) for name in self.names]
        rows = encoder.encode_texts([text for of_name in texts for text in of_name], INDEXING.texts)
        found, at = [], 0
        for of_name in texts:
            found.append(rows[at : at + len(of_name)])
            at += len(of_name)
        return found

    def without(self, other: Vocabulary) -> Vocabulary:
        """Give the names that another vocabulary has not; perhaps none."""
        has = {fold(text) for name in other.names for text in name.texts}
        names = tuple(name for name in self.names if has.isdisjoint(map(fold, name.texts)))
        return Vocabulary(self.called, names)

    def languages_for(self, identity: Identity, *, is_calibrated: bool) -> Languages:
        """Choose in which languages names are compared with pictures.

        Of the bundled ones in both for a model with a calibration, which knows both, and otherwise in the one that a
        model was trained in most; of others the first, because the second may be one that the model does not know.
        """
        if self.called != BUNDLED_NAME:
            return "first"
        if is_calibrated:
            return "both"
        return "other" if identity.family == "chinese-clip" else "first"


def _in_languages(name: VocabularyName, languages: Languages) -> tuple[str, ...]:
    if languages == "both" or name.other is None:
        return name.texts
    return (name.name,) if languages == "first" else (name.other,)


def find_vocabulary(wanted: Path | str | Sequence[str] | None) -> Vocabulary:
    """Give the bundled vocabulary (None), the one in a file, or one of names.

    Raises:
        UsageError: see :func:`read_vocabulary`.
    """
    if wanted is None:
        return read_vocabulary(BUNDLED, BUNDLED_NAME)
    if isinstance(wanted, (str, Path)):
        return read_vocabulary(Path(wanted))
    names = [VocabularyName(_tidied(name, "the vocabulary")) for name in wanted]
    digest = hashlib.sha256("\n".join(name.name for name in names).encode()).hexdigest()[:8]
    return Vocabulary(f"names {digest}", _unique(names, "the vocabulary"))


def read_vocabulary(path: Path, called: str | None = None) -> Vocabulary:
    """Read a file of names in UTF-8: one a line, or a name, a tab, and the same in another language.

    Empty lines, and lines that begin with ``#``, are passed over; of names that differ in case alone the first counts.

    Raises:
        UsageError: it cannot be read, is too large, or holds no name, or a line that is not one.
    """
    data = _bytes_of(path)
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a vocabulary: it is not UTF-8; write one name a line") from error
    names = [
        _name_of(line, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith("#")
    ]
    digest = hashlib.sha256(data).hexdigest()[:8]
    return Vocabulary(called or f"{normalise_text(path.stem)} {digest}", _unique(names, str(path)))


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the vocabulary {path} cannot be read: {error.strerror}; check the path") from error
    if len(data) > LARGEST_BYTES:
        raise UsageError(f"the vocabulary {path} is larger than {LARGEST_BYTES >> 20} MiB; shorten it")
    return data


def _name_of(line: str, place: str) -> VocabularyName:
    name, *others = line.split("\t")
    if len(others) > 1:
        raise UsageError(
            f"{place} has {len(others)} tabs; write a name, or a name, a tab and the same in another language"
        )
    other = others[0] if others and others[0].strip() else None
    return VocabularyName(_tidied(name, place), None if other is None else _tidied(other, place))


def _tidied(text: str, place: str) -> str:
    name = " ".join(normalise_text(text).split())
    if not name or len(name) > LONGEST or not is_unicode(name) or not name.isprintable():
        raise UsageError(f"{place}: {name[:40]!a} is not a name; a name has 1 to {LONGEST} characters")
    return name


def _unique(names: Iterable[VocabularyName], place: str) -> tuple[VocabularyName, ...]:
    found: dict[str, VocabularyName] = {}
    for name in names:
        found.setdefault(fold(name.name), name)
    if not 1 <= len(found) <= MOST_NAMES:
        raise UsageError(f"{place} has {len(found):,} names; give 1 to {MOST_NAMES:,}")
    return tuple(found.values())

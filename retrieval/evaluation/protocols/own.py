"""Any corpus of your own as an evaluation: every text asks for its pictures, every picture for its texts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import EvaluationSet, assemble
from retrieval.evaluation.protocols.protocol import ProtocolOptions, as_chosen
from retrieval.types import Entry, Failure, Picture, Text

DENOMINATORS = (
    "every text (text to image) and every picture (image to text); a query without an answer is a miss"
)
_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"}


def load_entries(name: str, entries: Iterable[Entry | Failure], options: ProtocolOptions) -> EvaluationSet:
    """An evaluation of what a corpus yields, in its order.

    With ``options.language`` only texts in that language ask and answer, where texts say theirs.

    Raises:
        EvaluationError: an item failed (figures over fewer items are other figures), the captions look like
            file names, or pictures, texts or links are missing.
    """
    pictures: dict[str, tuple[int, Picture]] = {}
    texts: dict[str, tuple[int, Text]] = {}
    links: list[tuple[int, int]] = []
    for entry in entries:
        if isinstance(entry, Failure):
            raise EvaluationError(
                f"{entry.uri}: {entry.reason}; an evaluation over fewer items gives other figures, so mend "
                f"the corpus first"
            )
        if entry.picture is not None:
            pictures.setdefault(entry.picture.uri, (len(pictures), entry.picture))
        for text in entry.texts:
            if options.language and text.lang and text.lang != options.language:
                continue
            row, known = texts.setdefault(text.uri, (len(texts), text))
            if known.text != text.text:
                raise EvaluationError(
                    f"{name} gives two texts the name {text.uri}; every text needs an id of its own"
                )
            if entry.picture is not None:
                links.append((pictures[entry.picture.uri][0], row))
    _check_captions(name, [text for _, text in texts.values()])
    languages = {text.lang for _, text in texts.values() if text.lang}
    language = options.language or (languages.pop() if len(languages) == 1 else "mul" if languages else "en")
    whole = assemble(
        name, [p for _, p in pictures.values()], [t for _, t in texts.values()], links, language=language
    )
    return as_chosen(whole, options)


def _check_captions(name: str, texts: list[Text]) -> None:
    """Refuse captions that are file names: somebody named the wrong column."""
    files = [text for text in texts if PurePath(text.text.strip()).suffix.lower() in _PICTURE_SUFFIXES]
    numbers = [text for text in texts if text.text.strip().isdigit()]
    for kind, found in (("picture names", files), ("numbers", numbers)):
        if len(found) * 2 > len(texts):
            raise EvaluationError(
                f"{len(found):,} of the {len(texts):,} captions of {name} are {kind} (the first is "
                f"{found[0].text!r}): "
                "captions are taken from the wrong column; choose it with --caption-column"
            )

"""Any corpus of your own as an evaluation: every text asks for its images, every image for its texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import EvaluationSet, assemble
from retrieval.evaluation.protocols.protocol import ProtocolOptions, as_chosen
from retrieval.suffixes import is_image_name
from retrieval.types import CorpusImage, CorpusText, Entry, Failure

DENOMINATORS = (
    "every text (text to image) and every picture (image to text); a query without an answer is a miss"
)


def load_entries(name: str, entries: Iterable[Entry | Failure], options: ProtocolOptions) -> EvaluationSet:
    """Build an evaluation set from the entries of a corpus, in their order.

    With ``options.language`` only texts in that language ask and answer, where texts say theirs.

    Raises:
        EvaluationError: an item failed (figures over fewer items are other figures), the captions look like
            file names, or images, texts or links are missing.
    """
    images: dict[str, tuple[int, CorpusImage]] = {}
    texts: dict[str, tuple[int, CorpusText]] = {}
    links: list[tuple[int, int]] = []
    for entry in entries:
        if isinstance(entry, Failure):
            raise EvaluationError(
                f"{entry.uri}: {entry.reason}; an evaluation over fewer items gives other figures, so mend "
                f"the corpus first"
            )
        if entry.image is not None:
            images.setdefault(entry.image.uri, (len(images), entry.image))
        for text in entry.texts:
            if options.language and text.lang and text.lang != options.language:
                continue
            row, known = texts.setdefault(text.uri, (len(texts), text))
            if known.text != text.text:
                raise EvaluationError(
                    f"{name} gives two texts the name {text.uri}; every text needs an id of its own"
                )
            if entry.image is not None:
                links.append((images[entry.image.uri][0], row))
    _check_captions(name, [text for _, text in texts.values()])
    language, note = _language([text for _, text in texts.values()], options.language)
    whole = assemble(
        name,
        [image for _, image in images.values()],
        [text for _, text in texts.values()],
        links,
        language=language,
    )
    notes = [note] if note else []
    bare = int(np.count_nonzero(whole.directions["image to text"].relevance.counts == 0))
    if bare:
        verb = "has no text, and is a miss" if bare == 1 else "have no text, and are misses"
        notes.append(f"{bare:,} of the {len(whole.images):,} pictures {verb}")
    title = "a corpus of your own, all of it"
    return as_chosen(replace(whole, protocol=title, denominators=DENOMINATORS, notes=tuple(notes)), options)


def _language(texts: list[CorpusText], chosen: str | None) -> tuple[str, str | None]:
    """The language to record, ``mul`` for several; with a note where it had to be taken from the writing."""
    said = sorted({text.lang for text in texts if text.lang})
    if chosen or said:
        return chosen or (said[0] if len(said) == 1 else "mul"), None
    letters = [letter for text in texts for letter in text.text if letter.isalpha()]
    han = sum("\u4e00" <= letter <= "\u9fff" for letter in letters)
    kana = sum("\u3040" <= letter <= "\u30ff" for letter in letters)
    east = "ja" if kana * 10 > han else "zh"
    language = east if (han + kana) * 2 > len(letters) else "en"
    return language, f"no language is named, and the letters look like {language}; name it with --lang"


def _check_captions(name: str, texts: list[CorpusText]) -> None:
    """Refuse captions that are file names: somebody named the wrong column."""
    files = [text for text in texts if is_image_name(text.text.strip())]
    numbers = [text for text in texts if text.text.strip().isdigit()]
    for kind, found in (("picture names", files), ("numbers", numbers)):
        if len(found) * 2 > len(texts):
            raise EvaluationError(
                f"{len(found):,} of the {len(texts):,} captions of {name} are {kind} (the first is "
                f"{found[0].text!r}): "
                "captions are taken from the wrong column; choose it with --caption-column"
            )

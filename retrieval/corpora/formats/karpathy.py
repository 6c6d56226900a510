"""Karpathy's split files (``dataset_coco.json``, ``dataset_flickr8k.json``, ``dataset_flickr30k.json``).

One object: ``images``, each with ``filename``, at times ``filepath`` (a folder), ``split`` and ``sentences``
(https://cs.stanford.edu/people/karpathy/deepimagesent/).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from retrieval.corpora.corpus import Corpus, Entries
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.document import PROBED, image_folder, is_list_in, list_in
from retrieval.corpora.format import Format
from retrieval.corpora.locate import ImageFolder
from retrieval.corpora.names import FileNames
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.values import attributes_of, id_of, text_fault
from retrieval.errors import CorpusFormatError
from retrieval.types import CorpusText, Entry, Failure


def open_karpathy(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a Karpathy split file: the images of some splits (all by default), each with its sentences.

    A sentence is named ``sentid=ID``. ``train`` is not ``restval``: ask for ``train,restval`` to get what papers
    train on. Without
    ``options.images`` the images are looked for beside the file and in ``images`` there or one folder up.

    Raises:
        CorpusFormatError: the list is missing, no image is in a split that was asked for, or the images
            are not where they are looked for.
        UsageError: ``options.images`` is not a folder.
    """
    path = at.path
    images = list_in(at.document, "images", path)
    splits = None if options.split is None else [name.strip() for name in options.split.split(",")]
    _check_splits(path, images, splits)
    own = path.absolute().parent
    usual = (own, own / "images", own.parent / "images")
    chosen = [n for n, image in enumerate(images) if splits is None or _split(image) in splits]
    folder = image_folder(path, options, usual, [images[n] for n in chosen[:PROBED]], _name)
    names = FileNames(path)
    return Corpus(
        names.whole, "karpathy", lambda _: _entries(names, images, chosen, folder, options.lang), len(chosen)
    )


def _check_splits(path: Path, images: Sequence[object], splits: list[str] | None) -> None:
    there = Counter(_split(image) for image in images)
    for name in splits or ():
        if name not in there:
            shown = [f"{split[:100]} ({count:,})" for split, count in there.most_common(20) if split]
            listed = ", ".join(shown) or "no splits"
            raise CorpusFormatError(str(path), f"no picture is in split {name!r}", f"It has {listed}")


def _split(image: object) -> str:
    split = image.get("split") if isinstance(image, dict) else None
    return split if isinstance(split, str) else ""


def _name(image: object) -> object:
    """Get the file name of an image, below its ``filepath`` where there is one."""
    if not isinstance(image, dict):
        return None
    folder, name = image.get("filepath"), image.get("filename")
    return (
        f"{folder}/{name}" if isinstance(folder, str) and folder and isinstance(name, str) and name else name
    )


def _entries(
    names: FileNames, images: Sequence[object], chosen: Sequence[int], folder: ImageFolder, lang: str | None
) -> Entries:
    seen: set[object] = set()
    for ordinal in chosen:
        image = images[ordinal]
        place = f"images/{ordinal}"
        if not isinstance(image, dict):
            yield Failure(names.part(place), "the picture is not an object")
            continue
        attributes = attributes_of(image, without=("sentences", "sentids"))
        located = folder.image(_name(image), names.part(place), attributes)
        if isinstance(located, Failure):
            yield located
            continue
        found = list(_sentences(names, place, image.get("sentences"), lang, seen))
        yield from (failure for failure in found if isinstance(failure, Failure))
        yield Entry(located, tuple(text for text in found if isinstance(text, CorpusText)))


def _sentences(
    names: FileNames, place: str, sentences: object, lang: str | None, seen: set[object]
) -> Iterator[CorpusText | Failure]:
    """Make the captions of one image; ``seen`` grows by their ids, which must be unique in the file."""
    if not isinstance(sentences, list):
        yield Failure(names.part(f"{place}/sentences"), "the picture has no list of sentences")
        return
    for ordinal, sentence in enumerate(sentences):
        uri = names.part(f"{place}/sentences/{ordinal}")
        number = id_of(sentence.get("sentid")) if isinstance(sentence, dict) else None
        if number is not None:
            if number in seen:
                yield Failure(uri, f"sentence id {number} occurs twice")
                continue
            seen.add(number)
            uri = names.part(f"sentid={number}")
        text = _words(sentence)
        if text is None:
            yield Failure(uri, "the sentence has neither a raw text nor tokens")
        elif fault := text_fault(text):
            yield Failure(uri, fault)
        else:
            yield CorpusText(uri, text, lang=lang)


def _words(sentence: object) -> str | None:
    if not isinstance(sentence, dict):
        return None
    raw, tokens = sentence.get("raw"), sentence.get("tokens")
    if isinstance(raw, str) and raw and not raw.isspace():
        return raw
    if isinstance(tokens, list) and tokens and all(isinstance(token, str) for token in tokens):
        return " ".join(tokens)
    return None


def _is_karpathy(at: CorpusPath) -> bool:
    if at.suffix not in FORMAT.suffixes or not is_list_in(at.document, "images"):
        return False
    images = list_in(at.document, "images", at.path)
    return bool(images) and isinstance(images[0], dict) and "sentences" in images[0]


FORMAT = Format(
    name="karpathy",
    title="Karpathy splits",
    help="Karpathy's splits of COCO, Flickr8k and Flickr30k (--split test).",
    uri="#sentid=48",
    open=open_karpathy,
    suffixes=(".json",),
    is_content=_is_karpathy,
    options=frozenset({"images", "split"}),
)

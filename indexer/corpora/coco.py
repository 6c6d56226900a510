"""COCO captions: pictures and annotations in one JSON object (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from indexer.corpora.corpus import Corpus, Entries
from indexer.corpora.document import Document, image_folder, list_in, load_document
from indexer.corpora.locate import ImageFolder
from indexer.corpora.names import FileNames
from indexer.corpora.options import CorpusOptions
from indexer.corpora.values import attributes_of, is_unicode, text_fault
from retrieval.errors import CorpusFormatError
from retrieval.types import Entry, Failure, Text

Annotations = dict[object, list[Text]]
"""Captions by the id of their picture."""


def open_coco(path: Path, options: CorpusOptions) -> Corpus:
    """The pictures and captions in a COCO captions file; see :func:`coco_corpus`."""
    return coco_corpus(path, load_document(path), options)


def coco_corpus(path: Path, document: Document, options: CorpusOptions) -> Corpus:
    """The pictures of a COCO document in their order, each with its captions, named ``annotation=ID``.

    Without ``options.images`` the pictures are looked for beside the file, in ``images`` and in the folder
    named after the file (``captions_train2017.json``: ``train2017``), and in the same places beside a folder
    ``annotations``.

    Raises:
        CorpusFormatError: a list is missing, there are annotations and none is a caption, or the pictures are
            not where they are looked for.
        UsageError: ``options.images`` is no folder.
    """
    images = list_in(document, "images", path)
    annotations = list_in(document, "annotations", path)
    if annotations and not any(isinstance(one, dict) and "caption" in one for one in annotations):
        fault = f"none of its {len(annotations):,} annotations has a caption"
        raise CorpusFormatError(str(path), fault, "Give the captions_*.json of the data set")
    folder = image_folder(path, options, list(_usual_folders(path)), images, _name)
    names = FileNames(path)
    return Corpus(
        names.whole, "coco", lambda _: _entries(names, images, annotations, folder, options.lang), len(images)
    )


def _usual_folders(path: Path) -> Iterator[Path]:
    own = path.absolute().parent
    split = path.stem.rpartition("_")[2]
    for root in (own, own.parent) if own.name == "annotations" else (own,):
        yield from (root, root / "images", root / split, root / "images" / split)


def _name(image: object) -> object:
    return image.get("file_name") if isinstance(image, dict) else None


def _entries(
    names: FileNames, images: list[object], annotations: list[object], folder: ImageFolder, lang: str | None
) -> Entries:
    captions: Annotations = {}
    yield from _group(names, annotations, lang, captions)
    seen: set[object] = set()
    for ordinal, image in enumerate(images):
        place = names.part(f"images/{ordinal}")
        if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
            yield Failure(place, "a picture has no id")
        elif image["id"] in seen:
            yield Failure(place, f"picture id {image['id']!r} occurs twice")
        else:
            seen.add(image["id"])
            attributes = {"image_id": image["id"], **attributes_of(image, without=("id", "image_id"))}
            picture = folder.picture(image.get("file_name"), place, attributes)
            texts = tuple(captions.pop(image["id"], ()))
            yield picture if isinstance(picture, Failure) else Entry(picture, texts)
    for image_id, texts_left in captions.items():
        for text in texts_left:
            yield Failure(text.uri, f"the caption is of picture {image_id!r}, which is not in the file")


def _group(
    names: FileNames, annotations: list[object], lang: str | None, captions: Annotations
) -> Iterator[Failure]:
    """Fill in the captions by picture; yield what is none."""
    seen: set[object] = set()
    for ordinal, annotation in enumerate(annotations):
        place = names.part(f"annotations/{ordinal}")
        if not isinstance(annotation, dict):
            yield Failure(place, "the annotation is no object")
            continue
        number = annotation.get("id")
        if isinstance(number, int) or (isinstance(number, str) and is_unicode(number)):
            if number in seen:
                yield Failure(place, f"annotation id {number!r} occurs twice")
                continue
            seen.add(number)
            place = names.part(f"annotation={number}")
        caption, image_id = annotation.get("caption"), annotation.get("image_id")
        if not isinstance(caption, str) or not caption or caption.isspace():
            yield Failure(place, "the annotation has no caption")
        elif fault := text_fault(caption):
            yield Failure(place, fault)
        elif not isinstance(image_id, int | str):
            yield Failure(place, "the annotation names no picture")
        else:
            captions.setdefault(image_id, []).append(Text(place, caption, lang=lang))

"""COCO captions: images and annotations in one JSON object (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from retrieval.corpora.corpus import TEXTS_LIMIT, Corpus, Entries
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.document import image_folder, is_list_in, list_in
from retrieval.corpora.format import AnnotationFile, Format
from retrieval.corpora.locate import ImageFolder
from retrieval.corpora.names import FileNames
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.values import attributes_of, id_of, text_fault
from retrieval.errors import CorpusFormatError
from retrieval.types import CorpusText, Entry, Failure

MOST_TEXTS = TEXTS_LIMIT + 1  # one more than is taken of an image
Captions = dict[str, list[int]]
"""Ordinals of annotations by the id of their image."""


def open_coco(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a COCO captions file: its images in their order, each with its captions, named ``annotation=ID``.

    Without ``options.images`` the images are looked for beside the file, in ``images`` and in the folder
    named after the file (``captions_train2017.json``: ``train2017``), and in the same places beside a folder
    ``annotations``.

    Raises:
        CorpusFormatError: a list is missing, there are annotations and none is a caption, or the images are
            not where they are looked for.
        UsageError: ``options.images`` is not a folder.
    """
    path, document = at.path, at.document
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
    names: FileNames,
    images: Sequence[object],
    annotations: Sequence[object],
    folder: ImageFolder,
    lang: str | None,
) -> Entries:
    captions: Captions = {}
    yield from _group(names, annotations, captions)
    seen: set[str] = set()
    for ordinal, image in enumerate(images):
        place = names.part(f"images/{ordinal}")
        number = id_of(image.get("id")) if isinstance(image, dict) else None
        if number is None or not isinstance(image, dict):
            yield Failure(place, "a picture has no id")
        elif number in seen:
            yield Failure(place, f"picture id {number} occurs twice")
        else:
            seen.add(number)
            of_it = {"image_id": image["id"], **{name: image[name] for name in image if name != "image_id"}}
            located = folder.image(image.get("file_name"), place, attributes_of(of_it, without=("id",)))
            texts = _texts(names, annotations, captions.pop(number, ())[:MOST_TEXTS], lang)
            yield located if isinstance(located, Failure) else Entry(located, tuple(texts))
    for number, ordinals in captions.items():
        for text in _texts(names, annotations, ordinals, lang):
            yield Failure(text.uri, f"the caption is of picture {number}, which is not in the file")


def _group(names: FileNames, annotations: Sequence[object], captions: Captions) -> Iterator[Failure]:
    """Group the captions by image into ``captions``; yield a failure for each annotation that is not one."""
    seen: set[str] = set()
    for ordinal, annotation in enumerate(annotations):
        place = names.part(f"annotations/{ordinal}")
        if not isinstance(annotation, dict):
            yield Failure(place, "the annotation is not an object")
            continue
        number = id_of(annotation.get("id"))
        if number is not None:
            if number in seen:
                yield Failure(place, f"annotation id {number} occurs twice")
                continue
            seen.add(number)
            place = names.part(f"annotation={number}")
        caption, image_id = annotation.get("caption"), id_of(annotation.get("image_id"))
        if not isinstance(caption, str) or not caption or caption.isspace():
            yield Failure(place, "the annotation has no caption")
        elif fault := text_fault(caption):
            yield Failure(place, fault)
        elif image_id is None:
            yield Failure(place, "the annotation names no picture")
        else:
            captions.setdefault(image_id, []).append(ordinal)


def _texts(
    names: FileNames, annotations: Sequence[object], ordinals: Sequence[int], lang: str | None
) -> Iterator[CorpusText]:
    """Make the captions of the annotations at some ordinals, which :func:`_group` has checked."""
    for ordinal in ordinals:
        annotation = annotations[ordinal]
        assert isinstance(annotation, dict), annotation
        number = id_of(annotation.get("id"))
        place = f"annotations/{ordinal}" if number is None else f"annotation={number}"
        yield CorpusText(names.part(place), annotation["caption"], lang=lang)


def _is_coco(at: CorpusPath) -> bool:
    if at.suffix not in FORMAT.suffixes:
        return False  # else any file would be read whole
    return is_list_in(at.document, "images") and is_list_in(at.document, "annotations")


def _annotations_in(folder: Path) -> AnnotationFile | None:
    annotations = sorted((folder / "annotations").glob("captions_*.json"))
    if len(annotations) > 1:
        names = ", ".join(path.name for path in annotations)
        remedy = "Name one of them, or pass --format folder to take the pictures without captions"
        raise CorpusFormatError(str(folder), f"holds several caption files ({names})", remedy)
    return AnnotationFile(annotations[0], folder / "images") if annotations else None


FORMAT = Format(
    name="coco",
    title="COCO captions",
    help="COCO captions: the pictures of a captions_*.json with their annotations.",
    uri="#annotation=48",
    open=open_coco,
    suffixes=(".json",),
    is_content=_is_coco,
    annotations_in=_annotations_in,
    options=frozenset({"images"}),
)

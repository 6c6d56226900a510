"""A JSON document: COCO and Karpathy files are one object each, whose parts refer to each other.

COCO 2017's training captions (590,000, 91 MB) take about a third of a gigabyte; larger corpora belong into JSONL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from retrieval.corpora.json_lists import FILE_LIMIT, NotJson, RawList, read_lists
from retrieval.corpora.locate import ImageFolder
from retrieval.corpora.options import CorpusOptions
from retrieval.corpora.textfile import check_encoding, unreadable
from retrieval.corpora.values import kind_of
from retrieval.errors import CorpusFormatError

Document = dict[str, object]

PROBED = 20  # images looked for in each folder: a few may be missing in the right one


def load_document(path: Path) -> Document:
    """Read the object in a JSON file.

    Raises:
        CorpusFormatError: it cannot be read, is larger than 1 GiB, or holds no JSON object.
    """
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise CorpusFormatError(str(path), "is larger than 1 GiB", "Convert it to JSONL")
        with path.open("rb") as file:
            check_encoding(file.read(4), path)
        return read_lists(path, ("images", "annotations"))
    except OSError as error:
        raise CorpusFormatError(str(path), unreadable(error), "Check the file and its permissions") from error
    except NotJson as error:
        remedy = "Give COCO captions or a Karpathy JSON, or pass --format jsonl if it has one object a line"
        raise CorpusFormatError(str(path), str(error), remedy) from error


def is_list_in(document: Document, key: str) -> bool:
    """Whether a list stands under a key."""
    return isinstance(document.get(key), RawList)


def list_in(document: Document, key: str, path: Path) -> Sequence[object]:
    """Get the list under a key.

    Raises:
        CorpusFormatError: there is none.
    """
    value = document.get(key)
    if not isinstance(value, RawList):
        found = f"{kind_of(value)} under" if key in document else "no"
        raise CorpusFormatError(
            str(path), f"has {found} {key!r}, where a list is expected", "Check the --format"
        )
    return value


def image_folder(
    path: Path,
    options: CorpusOptions,
    usual: Sequence[Path],
    images: Sequence[object],
    name_of: Callable[[object], object],
) -> ImageFolder:
    """Choose the folder that image names count from: ``options.images``, else the usual one that holds any of them.

    Args:
        path: the document.
        options: with the folder that the caller named, if any.
        usual: folders in which the format's images are commonly kept, the likeliest first.
        images: the document's images; the folder must hold one of the first.
        name_of: the name of an image.

    Raises:
        UsageError: ``options.images`` is not a folder.
        CorpusFormatError: none of the usual folders holds any of the first images.
    """
    if options.images is not None:
        return ImageFolder(options.images)
    names = [name_of(image) for image in images[:PROBED]]
    for folder in (ImageFolder(one) for one in usual if one.is_dir()):
        if not names or any(folder.holds(name) for name in names):
            return folder
    tried = ", ".join(str(folder) for folder in usual)
    raise CorpusFormatError(
        str(path),
        f"its pictures ({names[0]!r}, ...) are in none of {tried}",
        "Name their folder with --images DIR",
    )

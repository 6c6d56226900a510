"""Zero-shot classification: which of the class names, put into templates, lies nearest to an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.corpora.corpus import without_videos
from retrieval.corpora.samples import read_samples
from retrieval.corpora.values import parse_object
from retrieval.errors import CorpusFormatError, EvaluationError
from retrieval.evaluation.embedding import LIMITS, check_templates, embed_images, embed_texts
from retrieval.evaluation.intervals import Interval, bootstrap_intervals
from retrieval.evaluation.metrics import Share, hit_rate_at_k, hits_at_k
from retrieval.evaluation.protocols.reading import read_lines
from retrieval.evaluation.ranks import Ranking, rank_vectors
from retrieval.evaluation.relevance import Relevance
from retrieval.identity import Identity
from retrieval.locations.tar_members import Damage, Member, member_path
from retrieval.suffixes import suffix_of
from retrieval.types import CorpusImage, Failure, FileBytes, Limits, MemberBytes, OnProgress
from retrieval.uris import file_uri

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

TEMPLATE = "a photo of a {}."
LABEL_LIMIT = 2**20  # bytes of a member with a label
LABEL_SUFFIXES = (".json", ".cls")
_WHOLE = "figures over fewer pictures would be other figures, so mend or remove it"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """Pictures of known classes.

    Attributes:
        name: of the corpus.
        images: in order.
        labels: (images,) int64 rows of ``classes``.
        classes: names as they are put into templates.
    """

    name: str
    images: tuple[CorpusImage, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Accuracy:
    """Top-1 and top-5 accuracy over all images, and the mean over classes of their top-1 accuracy.

    ``interval`` is that of ``top1``, drawn by image. ``top5`` is None for fewer than five classes.
    ``ranking`` holds each image's rank of its class.
    """

    top1: Share
    interval: Interval
    top5: Share | None
    mean_per_class: float
    ranking: Ranking

    def as_metrics(self) -> dict[str, float]:
        """Make the metrics of a CLIP_benchmark record; no ``acc5`` where there are fewer than five classes."""
        five = {} if self.top5 is None else {"acc5": self.top5.value}
        return {"acc1": self.top1.value, **five, "mean_per_class_recall": self.mean_per_class}


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """Accuracies of one or more models on the same images, with each model's identity."""

    labelled: LabelledImages
    templates: tuple[str, ...]
    models: Mapping[str, tuple[Identity, Accuracy]]


def classify_models(
    labelled: LabelledImages,
    encoders: Mapping[str, Encoder],
    templates: Sequence[str] = (TEMPLATE,),
    cache: Path | None = None,
    advance: OnProgress | None = None,
    limits: Limits = LIMITS,
) -> Classification:
    """Measure the zero-shot accuracy of encoders, by name; ``templates`` are averaged (Radford et al., ICML 2021).

    ``limits`` says what is accepted of an image.

    Raises:
        EvaluationError: an image cannot be read or decoded.
        UsageError: a template has no ``{}``.
    """
    check_templates(templates)
    models = {}
    for name, encoder in encoders.items():
        images, _, _ = embed_images(encoder, labelled.images, cache, advance, limits)
        classes, _ = embed_texts(encoder, labelled.classes, templates, cache, advance)
        models[name] = encoder.identity, classify(labelled, images, classes)
    return Classification(labelled, tuple(templates), models)


def classify(labelled: LabelledImages, images: NDArray[np.float32], classes: NDArray[np.float32]) -> Accuracy:
    """Compute the accuracy of choosing the class of the highest score; equal scores go to the class that comes first.

    Args:
        labelled: what is right.
        images: (images, d) float32 unit rows.
        classes: (classes, d) float32 unit rows.
    """
    count = len(labelled.classes)
    relevance = Relevance.of_pairs(enumerate(labelled.labels.tolist()), len(images), count)
    ranking = rank_vectors(images, classes, relevance)
    right = hits_at_k(ranking.exact, 1).astype(np.float64)
    sizes = np.bincount(labelled.labels, minlength=count)
    per_class = np.bincount(labelled.labels, weights=right, minlength=count)[sizes > 0] / sizes[sizes > 0]
    return Accuracy(
        hit_rate_at_k(ranking.exact, 1),
        bootstrap_intervals(right[:, None], np.arange(len(right)))[0],
        hit_rate_at_k(ranking.exact, 5) if count >= 5 else None,
        float(per_class.mean()),
        ranking,
    )


def load_labelled(corpus: Path, class_names: Path | None = None) -> LabelledImages:
    """Read labelled images from an ImageNet-style folder or a tar.

    A folder has one folder a class; its name, with blanks for underscores, is the class name. A tar has,
    beside each ``KEY.jpg``, ``KEY.json`` with a ``label``, or ``KEY.cls`` with a number. ``class_names``
    gives other names: lines ``FOLDER<tab>NAME`` (as for ImageNet's ``n01440764``), or one NAME a line for
    numbers.

    Raises:
        EvaluationError: nothing is there, an image has no label, a class has no name, or two have the same.
        CorpusFormatError: the tar or the class names cannot be read.
    """
    if corpus.is_dir():
        pairs = list(_read_folder(corpus))
    elif corpus.is_file():
        pairs = list(_read_tar(corpus))
    else:
        raise EvaluationError(
            f"{corpus} does not exist; give a folder with one folder a class, or a tar with labels"
        )
    if not pairs:
        raise EvaluationError(f"{corpus} holds no labelled pictures; give a folder with one folder a class")
    labels = sorted({label for _, label in pairs}, key=_numeric_first)
    names = _names(labels, class_names, corpus)
    _check_distinct(labels, names)
    row = {label: n for n, label in enumerate(labels)}
    rows = np.array([row[label] for _, label in pairs], dtype=np.int64)
    return LabelledImages(corpus.name, tuple(image for image, _ in pairs), rows, names)


def _read_folder(root: Path) -> Iterator[tuple[CorpusImage, str]]:
    corpus = open_corpus(str(root), CorpusOptions(format="folder"))
    for found in without_videos(corpus.entries()):
        if isinstance(found, Failure):
            raise EvaluationError(f"{found.uri}: {found.reason}; {_WHOLE}")
        image = found.image
        assert image is not None, "a folder holds images"
        assert isinstance(image.location, FileBytes), "in files"
        inside = image.location.path.relative_to(root.absolute())
        if len(inside.parts) == 1:
            raise EvaluationError(f"{image.uri} lies in no class's folder; move it into one, or elsewhere")
        yield replace(image, key=f"{inside.parts[0]}/{inside.name}"), inside.parts[0]


def _read_tar(archive: Path) -> Iterator[tuple[CorpusImage, str]]:
    images: dict[str, CorpusImage] = {}
    labels: dict[str, str] = {}
    try:
        with archive.open("rb") as file:
            for sample in read_samples(file, LABEL_SUFFIXES, without_hidden=True, left_out=Counter()):
                if isinstance(sample, Damage):
                    raise _not_a_tar(archive, f"{sample.reason}, at byte {sample.offset:,}")
                for member in sample.images:
                    images[_stem(member)] = _image(archive, member)
                for member in sample.texts:
                    file.seek(member.offset)
                    raw = file.read(min(member.size, LABEL_LIMIT))
                    labels[_stem(member)] = _label(f"{archive}#{member.name}", member.name, raw)
    except (OSError, ValueError) as error:
        raise _not_a_tar(archive, getattr(error, "strerror", None) or str(error)) from error
    for stem, image in images.items():
        if stem not in labels:
            raise EvaluationError(
                f"{image.uri} has no label; put {stem}.json with a 'label', or {stem}.cls, beside it"
            )
        yield image, labels[stem]


def _stem(member: Member) -> str:
    return member_path(member.name).rpartition(".")[0]


def _image(archive: Path, member: Member) -> CorpusImage:
    uri = file_uri(archive, member.name)
    if member.fault:
        raise EvaluationError(f"{uri}: {member.fault}; {_WHOLE}")
    place = MemberBytes(archive, member.name, member.offset, member.size)
    return CorpusImage(uri, place, _stem(member))


def _not_a_tar(archive: Path, reason: str) -> CorpusFormatError:
    fault = f"it cannot be read as an uncompressed tar ({reason})"
    return CorpusFormatError(str(archive), fault, "Give a folder with one folder a class, or a plain tar")


def _label(place: str, name: str, content: bytes) -> str:
    if suffix_of(name) == ".json":
        found = parse_object(content, place)
        if isinstance(found, Failure):
            raise CorpusFormatError(place, found.reason, 'Write {"label": "name"}')
        label = found.get("label")
    else:
        label = content.decode(errors="replace").strip()
    if not isinstance(label, str | int) or label == "":
        raise CorpusFormatError(place, "there is no 'label' in it", 'Write {"label": "name"}')
    return str(label)


def _names(labels: Sequence[str], path: Path | None, corpus: Path) -> tuple[str, ...]:
    if path is None:
        if all(label.isdigit() for label in labels):
            raise EvaluationError(
                f"the classes of {corpus} are numbers, of which no model knows the meaning; name them "
                f"with --class-names FILE"
            )
        return tuple(label.replace("_", " ") for label in labels)
    lines = [line for _, line in read_lines(path)]
    named = dict(line.split("\t", 1) for line in lines if "\t" in line)
    if not named:
        named = {str(number): line.strip() for number, line in enumerate(lines)}
    missing = [label for label in labels if label not in named]
    if missing:
        raise EvaluationError(
            f"{path} names no class {missing[0]} of {corpus} ({len(missing)} of {len(labels)} are "
            f"missing); write lines "
            "FOLDER<tab>NAME, or one NAME a line for classes that are numbers"
        )
    return tuple(named[label].strip() for label in labels)


def _check_distinct(labels: Sequence[str], names: Sequence[str]) -> None:
    """Refuse two classes of one name: equal scores go to the first, so that pictures of the other are never right."""
    first: dict[str, str] = {}
    for label, name in zip(labels, names, strict=True):
        other = first.setdefault(name, label)
        if other != label:
            raise EvaluationError(
                f"classes {other!r} and {label!r} have the same name {name!r}; give one another, with "
                "--class-names FILE"
            )


def _numeric_first(label: str) -> tuple[int, str]:
    return (int(label), "") if label.isdigit() else (2**62, label)

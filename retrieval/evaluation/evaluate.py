"""Evaluate models on any corpus that can be indexed, or by a published protocol, as ``vlsearch eval`` does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from retrieval.collection import Collection
from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.corpora.corpus import without_videos
from retrieval.encoders.registry import auto_choice, load_bound_encoder, load_encoder
from retrieval.errors import CollectionEmpty, UsageError
from retrieval.evaluation.classification import TEMPLATE, Classification, classify_models, load_labelled
from retrieval.evaluation.evaluation_set import EvaluationSet
from retrieval.evaluation.protocols import ProtocolOptions, load_entries, load_protocol
from retrieval.evaluation.protocols.protocol import Captions
from retrieval.evaluation.request import EvaluateOptions, evaluation_request
from retrieval.evaluation.run import Evaluation, evaluate_models
from retrieval.types import Limits, OnProgress

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


def evaluate(
    corpus: str | Path,
    *,
    on_progress: OnProgress | None = None,
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """Measure how well models retrieve on a captioned corpus.

    Args:
        corpus: as :func:`load_evaluation` takes it.
        on_progress: called with the progress.
        options: ``models``, ``protocol``, ``options``, ``captions``, ``folds``, ``k``, ``templates``, ``collection``,
            ``ann``, ``indexes``, ``seed``, ``limits`` and ``cache``, as
            :class:`retrieval.evaluation.request.EvaluationRequest` explains them.

    Raises:
        VlsearchError: the corpus, a model or the collection cannot be used as asked; the sentence says why.
    """
    asked = evaluation_request(options)
    measured = asked.measured  # so that what is wrong in it is told before files are read
    evaluated = load_evaluation(
        corpus, protocol=asked.protocol, options=asked.options, captions=asked.captions, folds=asked.folds
    )
    with ExitStack() as stack:
        opened = None if asked.collection is None else stack.enter_context(Collection.open(asked.collection))
        encoders = load_encoders(asked.models) if asked.models or opened is None else _bound_encoder(opened)
        return evaluate_models(evaluated, encoders, measured, opened, asked.cache, on_progress)


def classify(
    corpus: str | Path,
    models: Sequence[str | Path] = (),
    templates: Sequence[str] = (),
    class_names: Path | None = None,
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
    limits: Limits | None = None,
) -> Classification:
    """Measure the zero-shot classification accuracy of models on labelled images.

    Args:
        corpus: a folder with one folder a class, or a tar with labels.
        models: names, aliases or folders; by default the best one at hand.
        templates: each holds ``{}``, where the class name goes; ``a photo of a {}.`` by default.
        class_names: file that names the classes; by default they are called as their folders.
        cache: folder of embeddings; the user's cache folder by default.
        on_progress: called with the progress.
        limits: what is accepted of an image.

    Raises:
        VlsearchError: the corpus or a model cannot be used as asked; the sentence says why.
    """
    labelled = load_labelled(Path(corpus), class_names)
    encoders = load_encoders(models)
    return classify_models(
        labelled, encoders, tuple(templates) or (TEMPLATE,), cache, on_progress, limits or Limits()
    )


def load_evaluation(
    corpus: str | Path,
    *,
    protocol: str | None = None,
    options: CorpusOptions | None = None,
    captions: Captions = "all",
    folds: int | None = None,
) -> EvaluationSet:
    """Read an evaluation set from a corpus or from the files of a published protocol.

    Args:
        corpus: whatever ``vlsearch index`` reads, or the files of a protocol in their published layout.
        protocol: its name, or None.
        options: how to read the corpus; with a protocol only ``images``, ``split`` and ``lang``.
        captions: ``all`` or ``first5``.
        folds: number of equal parts.

    Raises:
        CorpusFormatError: a file is in no known format.
        EvaluationError: images, captions or links are missing or wrong, or it is not what the protocol fixes.
        UsageError: an option has no meaning here.
    """
    options = options or CorpusOptions()
    chosen = ProtocolOptions(options.images, options.split, captions, folds, options.lang)
    if protocol is not None:
        spare = CorpusOptions(images=options.images, split=options.split, lang=options.lang)
        if options != spare:
            raise UsageError(
                f"protocol {protocol} fixes how its files are read; leave --format, --image-column, "
                "--caption-column and --exclude out"
            )
        return load_protocol(protocol, Path(corpus), chosen)
    opened = open_corpus(str(corpus), options)
    evaluated = load_entries(Path(corpus).stem, without_videos(opened.entries()), chosen)
    return evaluated if opened.note is None else replace(evaluated, notes=(*evaluated.notes, opened.note))


def load_encoders(models: Sequence[str | Path]) -> dict[str, Encoder]:
    """Load encoders in the order given, by name; without names, the best installed one.

    A model folder is named by the folder's own name where no other model has that name.

    Raises:
        UsageError: a name comes twice: nothing would be compared.
        ModelError: a model is not on this machine.
    """
    names = [str(model) for model in models] or [auto_choice()[0].name]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise UsageError(f"model {min(repeated)} is given twice; give each --model once")
    short = [
        Path(name).resolve().name if Path(name).name in ("", "..") else Path(name).name for name in names
    ]
    labels = short if len(set(short)) == len(short) else names
    return {label: load_encoder(name) for label, name in zip(labels, names, strict=True)}


def _bound_encoder(collection: Collection) -> dict[str, Encoder]:
    identity = collection.identity
    if identity is None:
        raise CollectionEmpty(collection.path)
    return {Path(identity.name).name: load_bound_encoder(identity)}

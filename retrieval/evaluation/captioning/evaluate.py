"""Evaluate captions of any corpus that can be indexed, or of a published protocol: ``vlsearch eval --task caption``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retrieval.corpora import CorpusOptions
from retrieval.encoders.registry import load_encoder
from retrieval.errors import EvaluationError
from retrieval.evaluation.captioning.clip_score import ClipScores, clip_scores
from retrieval.evaluation.captioning.predictions import match_predictions, read_predictions
from retrieval.evaluation.captioning.scores import CaptionScores, score_captions
from retrieval.evaluation.evaluate import load_evaluation
from retrieval.evaluation.evaluation_set import EvaluationSet
from retrieval.evaluation.protocols.protocol import Captions
from retrieval.generators.base import Generator
from retrieval.generators.pictures import caption_locations, captioner
from retrieval.types import CorpusImage, Limits, OnProgress


@dataclass(frozen=True, slots=True, eq=False)
class CaptionEvaluation:
    """Figures of captions, and what they were computed over.

    Attributes:
        evaluated: the pictures, and all texts.
        captions: the file that they are from, or the model that wrote them.
        pictures: how many have a reference.
        without_reference: how many have none, and are left out.
        references: how many texts the captions were compared with.
        scores: against references.
        clip: by vectors; None unless it was asked for.
    """

    evaluated: EvaluationSet
    captions: str
    pictures: int
    without_reference: int
    references: int
    scores: CaptionScores
    clip: ClipScores | None


def evaluate_captions(
    corpus: str | Path,
    predictions: str | Path | None = None,
    *,
    model: Generator | str | Path | None = None,
    protocol: str | None = None,
    options: CorpusOptions | None = None,
    captions: Captions = "all",
    clip_model: str | Path | None = None,
    limits: Limits | None = None,
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
) -> CaptionEvaluation:
    """Score captions, in a file or as a model writes them now, against the captions of a corpus.

    Every picture that has texts is scored against all of them; figures are those of the whole corpus.

    Args:
        corpus: as :func:`retrieval.evaluation.evaluate.load_evaluation` takes it.
        predictions: file with a caption of each picture; see
            :func:`retrieval.evaluation.captioning.predictions.read_predictions`.
        model: writes a caption of each picture, where there is no file.
        protocol: a published one; None for all of the corpus.
        options: how to read the corpus.
        captions: ``first5`` compares with the first five texts of each picture, ``all`` with all.
        clip_model: encoder that CLIPScore is computed with too, by name or folder.
        limits: what is accepted of an image.
        cache: folder of embeddings; the user's cache folder by default.
        on_progress: called with the progress.

    Raises:
        VlsearchError: the corpus, the file or the model cannot be used as asked; the sentence says why.
    """
    evaluated = load_evaluation(corpus, protocol=protocol, options=options, captions=captions)
    images, references = _references(evaluated)
    language = evaluated.language
    if predictions is not None:
        written, source = match_predictions(images, read_predictions(Path(predictions))), str(predictions)
    else:
        written, source = _write(images, model, language, limits, on_progress)
    scores = score_captions(written, references, language)
    clip = None
    if clip_model is not None:
        encoder = load_encoder(clip_model)
        clip = clip_scores(encoder, images, written, references, language, cache, on_progress, limits)
    return CaptionEvaluation(
        evaluated,
        source,
        len(images),
        len(evaluated.images) - len(images),
        sum(map(len, references)),
        scores,
        clip,
    )


def _write(
    images: list[CorpusImage],
    model: Generator | str | Path | None,
    language: str,
    limits: Limits | None,
    on_progress: OnProgress | None,
) -> tuple[tuple[str, ...], str]:
    """Have a model write a caption of each picture; also say which model.

    Raises:
        EvaluationError: a picture cannot be decoded: figures over fewer pictures would be other figures.
    """
    generator = captioner(model)
    pictures = [(image.uri, image.location) for image in images]
    captions = []
    for found in caption_locations(
        generator, pictures, lang=language, limits=limits, on_progress=on_progress
    ):
        if found.failure is not None:
            raise EvaluationError(
                f"{found.uri}: {found.failure}; figures over fewer pictures would be other figures, so mend or "
                "replace it"
            )
        captions.append(found.captions[0].text)
    return tuple(captions), generator.identity.maker(language)


def _references(evaluated: EvaluationSet) -> tuple[list[CorpusImage], list[list[str]]]:
    """Give the pictures that have texts, and their texts.

    Raises:
        EvaluationError: the texts are in several languages, or the protocol does not ask pictures for texts.
    """
    if evaluated.language == "mul":
        raise EvaluationError(
            f"{evaluated.name} has captions in several languages; choose one of them with --lang, as in --lang en"
        )
    if "image to text" not in evaluated.directions:
        raise EvaluationError(f"{evaluated.name} has no captions of its pictures; use another protocol")
    relevance = evaluated.directions["image to text"].relevance
    answers = [relevance.answers(row).tolist() for row in range(len(evaluated.images))]
    pairs = [(evaluated.images[row], rows) for row, rows in enumerate(answers) if rows]
    texts = [[evaluated.texts[row].text for row in rows] for _, rows in pairs]
    return [image for image, _ in pairs], texts

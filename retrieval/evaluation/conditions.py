"""Conditions that figures depend on, printed with them: protocol, denominators, preprocessing, precision, data."""

from __future__ import annotations

import json
from collections.abc import Iterator

from retrieval.evaluation.classification import Classification
from retrieval.evaluation.embedding import PLAIN
from retrieval.evaluation.intervals import RESAMPLES
from retrieval.evaluation.run import Evaluation
from retrieval.identity import Identity

INTERVALS = f"95 %: bootstrap by picture, with all that belongs to it, {RESAMPLES:,} draws"


def evaluation_conditions(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield the conditions of a retrieval evaluation as (label, text); an empty label continues the one before."""
    evaluated = evaluation.evaluated
    yield "corpus", f"{evaluated.name} ({evaluated.language}): {evaluated.summary()}"
    yield "protocol", evaluated.protocol
    yield "denominator", evaluated.denominators
    for note in evaluated.notes:
        yield "note", note
    if evaluation.options.templates != (PLAIN,):
        yield "templates", "; ".join(evaluation.options.templates)
    yield "intervals", INTERVALS
    for model in evaluation.models:
        yield from _model_facts(model.model, model.identity)
        embedded = model.embedded
        took = "from the cache" if embedded.cached else f"encoded in {embedded.seconds:.1f} s"
        yield "", f"vectors {took}; data {embedded.data[:16]}"


def classification_conditions(classified: Classification) -> Iterator[tuple[str, str]]:
    """Yield the conditions of a classification run, in the form of :func:`evaluation_conditions`."""
    labelled = classified.labelled
    size = f"{len(labelled.images):,} pictures of {len(labelled.classes):,} classes"
    yield "corpus", f"{labelled.name}: {size}"
    yield "templates", "; ".join(classified.templates)
    yield "denominator", "every picture; of equal scores, the class that comes first wins"
    yield "intervals", INTERVALS
    for name, (identity, _) in classified.models.items():
        yield from _model_facts(name, identity)


def preprocessing(identity: Identity) -> str:
    """Describe in one line how images and texts are prepared for a model."""
    try:
        facts = json.loads(identity.preprocessing)
    except ValueError:
        return identity.preprocessing
    return ", ".join(_flat(facts)) or "none stated"


def _model_facts(name: str, identity: Identity) -> Iterator[tuple[str, str]]:
    weights = identity.revision or identity.weights[:16]
    yield "model", f"{name}: {identity.family}, {identity.dimension} dimensions, weights {weights}"
    yield "", f"precision {identity.precision} ({identity.runtime}); preprocessing: {preprocessing(identity)}"


def _flat(facts: object, prefix: str = "") -> Iterator[str]:
    if isinstance(facts, dict):
        for key, value in facts.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield f"{prefix} {json.dumps(facts, ensure_ascii=False)}".replace('"', "")

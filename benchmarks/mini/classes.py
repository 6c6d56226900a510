"""How well a model finds classes by their names, over photographs that it was not trained on; for measure.py.

Both proxies lean on the backbone's own classifier, from which the model's class part comes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from indexer.training.validation import hit_rates
from indexer.training.vocabulary import fit_tokenizer
from recipes.mini.from_imagenet.data import Sample
from recipes.mini.from_imagenet.student import Student
from recipes.mini.vocabulary import ClassNames, Vocabulary
from retrieval.encoders.tower_encoder import TowerEncoder

Vectors = NDArray[np.float32]
SURE = 0.5
CUTS = (1, 5, 10)
_SIDE = 208  # of the pictures that the classifier judges: the same for every mini, so that the pool is


@dataclass(frozen=True)
class Verdicts:
    """What the classifier says of each picture, and how sure it is, 0 to 1."""

    classes: NDArray[np.int64]
    sureness: NDArray[np.float32]


def classify(backbone: Path, samples: Iterable[Sample]) -> Verdicts:
    """By the backbone's own weights; each picture is squeezed into the square."""
    student = Student(fit_tokenizer(["a"], 10), backbone)
    found = []
    with torch.inference_mode():
        for data, _ in samples:
            picture = Image.open(io.BytesIO(data)).convert("RGB")
            small = np.array(picture.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
            pixels = torch.from_numpy(small).permute(2, 0, 1)[None]
            found.append(student.logits(student.features(pixels)).softmax(1).max(1))
    classes = np.array([int(best.indices) for best in found])
    return Verdicts(classes, np.array([float(best.values) for best in found], np.float32))


def read_vocabulary() -> Vocabulary:
    return Vocabulary.of_imagenet()


def label_figures(
    encoder: TowerEncoder, images: Vectors, owners: NDArray[np.int64], labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Labels as queries over all labelled photographs: is one of the first k right? Every second one was held out."""
    scores = encoder.encode_texts(list(labels)) @ images.T
    right = owners[np.argsort(-scores, axis=1, kind="stable")] == np.arange(len(labels))[:, None]
    held = np.arange(len(labels)) % 2 == 1
    return {
        f"labels_{name}": {f"r{k}": 100 * float(right[rows, :k].any(1).mean()) for k in CUTS}
        for name, rows in (("held_out", held), ("seen", ~held))
    }


def agreement(encoder: TowerEncoder, images: Vectors, says: NDArray[np.int64]) -> dict[str, float]:
    """Share of pictures, in per cent, for which the nearest of 1,000 class names is what the classifier says."""
    classes = read_vocabulary().classes
    names = {"en": [one.label for one in classes], "zh": [one.chinese[0] for one in classes]}
    return {
        language: 100 * float(((images @ encoder.encode_texts(own).T).argmax(1) == says).mean())
        for language, own in names.items()
    }


def one_a_class(encoder: TowerEncoder, images: Vectors, verdicts: Verdicts) -> dict[str, object]:
    """Names as queries over one picture of each class that the classifier is sure of: R@1, R@5, R@10 in per cent.

    Of each class the picture of which it is most sure; classes without one are left out. Asked are labels, first
    synonyms (of those that no other class has; else the label) and first Chinese names.
    """
    best: dict[int, int] = {}
    for row in np.argsort(-verdicts.sureness, kind="stable").tolist():
        if verdicts.sureness[row] > SURE:
            best.setdefault(int(verdicts.classes[row]), row)
    vocabulary = read_vocabulary()
    chosen = [vocabulary.classes[index] for index in best]
    pool, links = images[list(best.values())], [(row, row) for row in range(len(best))]
    queries = {
        "label": [names.label for names in chosen],
        "synonym": [_synonym(vocabulary, names) for names in chosen],
        "chinese": [names.chinese[0] for names in chosen],
    }
    figures: dict[str, object] = {"classes": len(best)}
    for kind, texts in queries.items():
        rates = hit_rates(pool, encoder.encode_texts(texts), links)
        figures[kind] = {f"r{k}": rates[f"t2i_r{k}"] for k in CUTS}
    return figures


def _synonym(vocabulary: Vocabulary, names: ClassNames) -> str:
    own = (
        name
        for name in names.english
        if name.lower() != names.label.lower() and len(vocabulary.meanings[name.lower()]) == 1
    )
    return next(own, names.label)

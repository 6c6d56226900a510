"""ECCV Caption: COCO's test images with the false negatives found, by people, and mAP@R to count them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CorpusFormatError, EvaluationError
from retrieval.evaluation.evaluation_set import EvaluationSet, RetrievalDirection, with_first_captions
from retrieval.evaluation.protocols.karpathy import COCO_5K, load_coco
from retrieval.evaluation.protocols.protocol import Protocol, ProtocolOptions
from retrieval.evaluation.protocols.reading import find_file, read_json
from retrieval.evaluation.relevance import Relevance

QUERIES = {"text to image": 1332, "image to text": 1261}

ECCV = Protocol(
    name="eccv",
    title="ECCV Caption",
    source="Chun et al., ECCV 2022 (github.com/naver-ai/eccv-caption)",
    layout="the folder of dataset_coco.json, eccv_caption_to_image.json and eccv_image_to_caption.json",
    denominators="the 1,332 captions and 1,261 pictures that were judged, each against all 5,000 "
    "pictures or 25,000 "
    "captions (the first five of each picture)",
    split="test",
    sizes=COCO_5K.sizes,
    headline=("mAP@R", "R-precision", "hit rate@1"),
    images=COCO_5K.images,
    mistakes=COCO_5K.mistakes,
)


def load_eccv(corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """ECCV Caption: queries that were judged, against the full gallery; ids are COCO's.

    Nothing is cut off: ranks are among the whole gallery, so a query's R never exceeds the ranked depth.
    """
    if options.captions != "all" or options.folds is not None or options.split not in (None, "test"):
        raise EvaluationError("ECCV Caption has one form: leave --captions, --folds and --split out")
    folder = corpus.parent if corpus.is_file() else corpus
    first5 = with_first_captions(load_coco(ECCV, folder / "dataset_coco.json", options), 5)
    texts = {text.key or "": row for row, text in enumerate(first5.texts)}
    images = {_coco_id(image.key or ""): row for row, image in enumerate(first5.images)}
    by_text = _judged(find_file(folder, ("eccv_caption_to_image.json",), ECCV.layout), texts, images)
    by_image = _judged(find_file(folder, ("eccv_image_to_caption.json",), ECCV.layout), images, texts)
    directions = {"text to image": by_text, "image to text": by_image}
    for direction, task in directions.items():
        if len(task.query_rows) != QUERIES[direction]:
            raise EvaluationError(
                f"{folder} has {len(task.query_rows):,} judged queries {direction}, and ECCV Caption has "
                f"{QUERIES[direction]:,}; give the files of its release"
            )
    return replace(
        first5,
        name="eccv",
        directions={"text to image": by_text, "image to text": by_image},
        counted="judged",
    )


def _judged(path: Path, query_ids: dict[str, int], item_ids: dict[str, int]) -> RetrievalDirection:
    """Judgements, as {id: [ids]} with the ids as strings or numbers.

    Raises:
        EvaluationError: an id is not of the gallery.
    """
    document = read_json(path)
    if not isinstance(document, dict) or not all(isinstance(found, list) for found in document.values()):
        raise CorpusFormatError(str(path), "this is not an object of lists", f"Give {ECCV.layout}")
    pairs = []
    for query, found in document.items():
        for row_of, key in ((query_ids, query), *((item_ids, str(item)) for item in found)):
            if key not in row_of:
                raise EvaluationError(
                    f"{path} names {key}, which is not in the gallery of dataset_coco.json (first five "
                    f"captions of the "
                    "test pictures); the two files do not match"
                )
        pairs += [(query_ids[query], item_ids[str(item)]) for item in found]
    queries: NDArray[np.int64] = np.unique(np.array([query_ids[query] for query in document], dtype=np.int64))
    return RetrievalDirection(queries, Relevance.of_pairs(pairs, len(query_ids), len(item_ids)))


def _coco_id(name: str) -> str:
    """COCO's number of an image: 391895 for ``COCO_val2014_000000391895.jpg``."""
    digits = name.rpartition("_")[2].partition(".")[0]
    return str(int(digits)) if digits.isdigit() else name

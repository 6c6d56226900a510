"""TREC files: qrels and runs from which trec_eval, ir-measures and ranx compute the same figures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import Direction
from retrieval.evaluation.figures import fold_of
from retrieval.evaluation.ranks import top_items
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.run import Evaluation
from retrieval.types import CorpusImage, CorpusText

DEPTH = 100
MAX_DEPTH = 2**24  # scores count down by 1, and float32 holds every integer up to here
_SHORT: dict[Direction, str] = {"text to image": "t2i", "image to text": "i2t"}


def write_trec(evaluation: Evaluation, folder: Path, depth: int = DEPTH) -> list[Path]:
    """Write ``t2i.qrels``, ``t2i.MODEL.run`` and their ``i2t`` twins (one set a fold, where there are folds).

    trec_eval compares scores as float32 and breaks ties by document id, so a run carries N - rank + 1 instead
    of the score: strictly decreasing, exactly our order. Figures at k <= depth are ours; MRR is that of lists
    cut at depth. Queries without an answer have no qrels line, so tools leave them out: judged queries are
    their denominator.

    Args:
        evaluation: one or more models on one evaluation set.
        folder: made if missing; files of these names are replaced.
        depth: hits a query.

    Returns:
        The files written.

    Raises:
        EvaluationError: the depth is below 1, or too deep for distinct float32 scores.
    """
    if not 1 <= depth < MAX_DEPTH:
        raise EvaluationError(
            f"a run of {depth} hits a query cannot have distinct float32 scores; choose 1 to {MAX_DEPTH}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    evaluated, names = evaluation.evaluated, [quote(model.model, safe="") for model in evaluation.models]
    ids = {"text to image": trec_ids(evaluated.texts), "image to text": trec_ids(evaluated.images)}
    written = []
    for direction, task in evaluated.directions.items():
        other: Direction = "image to text" if direction == "text to image" else "text to image"
        for number, fold in enumerate(evaluated.parts(), 1):
            stem = _SHORT[direction] + (f".fold{number}" if evaluated.folds else "")
            queries, items, relevance = fold_of(task, direction, fold)
            query_ids = [ids[direction][row] for row in queries.tolist()]
            item_ids = [ids[other][row] for row in items.tolist()]
            written.append(folder / f"{stem}.qrels")
            _write_lines(written[-1], _qrels(query_ids, item_ids, relevance))
            for name, model in zip(names, evaluation.models, strict=True):
                query_vectors, item_vectors = model.embedded.images, model.embedded.texts
                if direction == "text to image":
                    query_vectors, item_vectors = item_vectors, query_vectors
                rows, _ = top_items(
                    np.ascontiguousarray(query_vectors[queries]),
                    np.ascontiguousarray(item_vectors[items]),
                    depth,
                )
                written.append(folder / f"{stem}.{name}.run")
                _write_lines(written[-1], _run(query_ids, item_ids, rows, name))
    return written


def _qrels(queries: Sequence[str], items: Sequence[str], relevance: Relevance) -> Iterator[str]:
    for row, query in enumerate(queries):
        for item in relevance.answers(row).tolist():
            yield f"{query} 0 {items[item]} 1\n"


def _run(queries: Sequence[str], items: Sequence[str], rows: NDArray[np.int64], name: str) -> Iterator[str]:
    for query, found in zip(queries, rows.tolist(), strict=True):
        for rank, item in enumerate(found, 1):
            yield f"{query} Q0 {items[item]} {rank} {len(found) - rank + 1} {name}\n"


def _write_lines(path: Path, lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(lines)


def trec_ids(items: Sequence[CorpusImage] | Sequence[CorpusText]) -> list[str]:
    """Give each item an id without blanks: its key where all keys are distinct, else its uri.

    Of uris, the folder or archive that all are in is left out, so that runs of two machines can be compared.
    """
    keys = [item.key or "" for item in items]
    if all(keys) and len(set(keys)) == len(keys):
        names = keys
    else:
        uris = [item.uri for item in items]
        shared = os.path.commonprefix(uris)  # noqa: RUF071  characters are meant: uris are not paths
        start = max(shared.rfind("/"), shared.rfind("#")) + 1
        names = [uri[start:] for uri in uris]
    return [quote(name, safe="/:#@+,;=~%") for name in names]

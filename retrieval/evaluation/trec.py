"""TREC files: qrels and runs that trec_eval, ir-measures and ranx score to the same numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import Direction, EvaluationSet
from retrieval.evaluation.figures import fold_of
from retrieval.evaluation.ranks import top_items
from retrieval.types import Picture, Text

DEPTH = 100
MAX_DEPTH = 2**24  # scores count down by 1, and float32 holds every integer up to here
_SHORT: dict[Direction, str] = {"text to image": "t2i", "image to text": "i2t"}


def write_trec(
    folder: Path,
    run: str,
    evaluated: EvaluationSet,
    pictures: NDArray[np.float32],
    texts: NDArray[np.float32],
    depth: int = DEPTH,
) -> list[Path]:
    """Write ``t2i.qrels``, ``t2i.RUN.run`` and their ``i2t`` twins (one set a fold, where there are folds).

    trec_eval compares scores as float32 and breaks ties by document id, so a run carries N - rank + 1 instead
    of the
    score: strictly decreasing, exactly our order. Figures at k <= depth are ours; MRR is that of lists cut at
    depth. Queries without an answer have no qrels line, so tools leave them out: judged queries are their
    denominator.

    Args:
        folder: made if missing; files in it are replaced.
        run: name of the run, such as the model's.
        evaluated: what was evaluated.
        pictures: (pictures, d) float32 unit rows.
        texts: (texts, d) float32 unit rows.
        depth: hits a query.

    Returns:
        The files written.
    """
    if not 1 <= depth < MAX_DEPTH:
        raise EvaluationError(
            f"a run of {depth} hits a query cannot have distinct float32 scores; choose 1 to {MAX_DEPTH}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    names = {"text to image": trec_ids(evaluated.texts), "image to text": trec_ids(evaluated.pictures)}
    written = []
    for direction, side in evaluated.sides.items():
        other: Direction = "image to text" if direction == "text to image" else "text to image"
        asking, answering = (texts, pictures) if direction == "text to image" else (pictures, texts)
        for number, fold in enumerate(evaluated.parts(), 1):
            stem = _SHORT[direction] + (f".fold{number}" if evaluated.folds else "")
            queries, items, relevance = fold_of(side, direction, fold)
            query_ids = [names[direction][row] for row in queries.tolist()]
            item_ids = [names[other][row] for row in items.tolist()]
            answers = ([item_ids[row] for row in relevance.answers(query)] for query in range(len(queries)))
            qrels = (
                f"{query} 0 {item} 1\n"
                for query, found in zip(query_ids, answers, strict=True)
                for item in found
            )
            rows, _ = top_items(
                np.ascontiguousarray(asking[queries]), np.ascontiguousarray(answering[items]), depth
            )
            lists = ([item_ids[row] for row in found] for found in rows.tolist())
            lines = (
                f"{query} Q0 {item} {rank} {len(found) - rank + 1} {quote(run, safe='')}\n"
                for query, found in zip(query_ids, lists, strict=True)
                for rank, item in enumerate(found, 1)
            )
            for path, content in (
                (folder / f"{stem}.qrels", qrels),
                (folder / f"{stem}.{quote(run, safe='')}.run", lines),
            ):
                with path.open("w", encoding="utf-8") as file:
                    file.writelines(content)
                written.append(path)
    return written


def trec_ids(items: Sequence[Picture] | Sequence[Text]) -> list[str]:
    """An id without blanks for each item: its key where all have distinct keys, else its uri.

    Of uris, the folder or archive that all are in is left out, so that runs of two machines can be compared.
    """
    keys = [item.key or "" for item in items]
    if all(keys) and len(set(keys)) == len(keys):
        names = keys
    else:
        uris = [item.uri for item in items]
        shared = os.path.commonprefix(uris)  # noqa: RUF071  characters are meant: uris are no paths
        start = max(shared.rfind("/"), shared.rfind("#")) + 1
        names = [uri[start:] for uri in uris]
    return [quote(name, safe="/:#@+,;=~%") for name in names]

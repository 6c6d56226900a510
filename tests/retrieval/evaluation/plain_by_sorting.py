"""A first plain implementation, from the text of the protocols: sort everything, then walk down the list."""

import math


def order(scores: list[float]) -> list[int]:
    """Item ids by score descending, then id ascending."""
    return sorted(range(len(scores)), key=lambda item: (-scores[item], item))


def figures(matrix: list[list[float]], relevant: list[set[int]], k: int) -> dict[str, list[float]]:
    """Per-query values of every metric, by walking each query's sorted list once for each."""
    result: dict[str, list[float]] = {
        name: [] for name in ("hit", "recall", "precision", "rr", "first", "ndcg", "map", "map@r", "rprec")
    }
    for scores, wanted in zip(matrix, relevant, strict=True):
        ranked = order(scores)

        hit = 0.0
        for item in ranked[:k]:
            if item in wanted:
                hit = 1.0
        result["hit"].append(hit)

        found = 0
        for item in ranked[:k]:
            if item in wanted:
                found += 1
        result["recall"].append(found / len(wanted) if wanted else 0.0)
        result["precision"].append(found / k)

        first = math.inf
        for rank, item in enumerate(ranked, 1):
            if item in wanted:
                first = rank
                break
        result["first"].append(first)
        result["rr"].append(0.0 if first == math.inf else 1 / first)

        gain = 0.0
        for rank, item in enumerate(ranked[:k], 1):
            if item in wanted:
                gain += 1 / math.log2(rank + 1)
        ideal = 0.0
        for rank in range(1, min(k, len(wanted)) + 1):
            ideal += 1 / math.log2(rank + 1)
        result["ndcg"].append(gain / ideal if ideal else 0.0)

        precisions, seen = 0.0, 0
        for rank, item in enumerate(ranked, 1):
            if item in wanted:
                seen += 1
                precisions += seen / rank
        result["map"].append(precisions / len(wanted) if wanted else 0.0)

        precisions, seen = 0.0, 0
        for rank, item in enumerate(ranked[: len(wanted)], 1):
            if item in wanted:
                seen += 1
                precisions += seen / rank
        result["map@r"].append(precisions / len(wanted) if wanted else 0.0)
        result["rprec"].append(seen / len(wanted) if wanted else 0.0)
    return result

"""Read TREC files by ir_measures, whose functions have no types."""

from __future__ import annotations

from pathlib import Path

import ir_measures


def read_trec_qrels(path: Path) -> list[ir_measures.Qrel]:
    return list(ir_measures.read_trec_qrels(str(path)))  # type: ignore[no-untyped-call]


def read_trec_run(path: Path) -> list[ir_measures.ScoredDoc]:
    return list(ir_measures.read_trec_run(str(path)))  # type: ignore[no-untyped-call]

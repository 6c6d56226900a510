"""Load rerankers by name: aliases, hub ids, folders. Nothing here reaches the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.extras import require
from retrieval.generators.registry import resolve

if TYPE_CHECKING:
    from retrieval.rerankers.base import Reranker


def load_reranker(name_or_path: str | Path, *, device: str | None = None) -> Reranker:
    """Load the reranker that a name stands for, from this machine alone.

    Args:
        name_or_path: an alias (``vlsearch models --task rerank`` lists them), a hub id, either with ``@revision``, or
            a folder.
        device: as torch names it (``cpu``, ``cuda``, ``mps``); the CPU by default.

    Raises:
        UnknownModel: no model has that name.
        ModelError: it is not in the local cache, does not re-rank, or its files are missing, damaged or refused.
        MissingExtra: the extra ``models``, or of a cross-encoder ``cross-encoder``, is not installed.
    """
    spec = resolve(name_or_path)
    require("models", f"the model {spec.name}")
    from retrieval.hub.local_cache import need_snapshot  # late: torch, transformers
    from retrieval.rerankers.blip import load_blip_reranker
    from retrieval.rerankers.cross_encoder import is_cross_encoder, load_cross_encoder

    folder = spec.folder or need_snapshot(spec.name, spec.repo, spec.revisions).folder
    if not is_cross_encoder(folder):
        return load_blip_reranker(folder, spec.name, device)
    require("cross-encoder", f"the cross-encoder {spec.name}")
    return load_cross_encoder(folder, spec.name, device)

"""Finding checkpoints in the hub's local cache, without the network.

The cache's layout (``models--org--name/refs/main``, ``snapshots/<commit>/``) is huggingface_hub's; so are the
environment variables that move it (``HF_HOME``, ``HF_HUB_CACHE``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.encoders.hub.checkpoint import CONFIG, open_checkpoint, weight_files
from retrieval.encoders.hub.tokens import VOCABULARIES
from retrieval.errors import ModelError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit of a hub repository, as it lies in the cache."""

    folder: Path
    commit: str


def find_snapshot(repo: str, revisions: Sequence[str]) -> Snapshot | None:
    """The first of some revisions (commits, branches, tags) that the cache has whole."""
    for revision in revisions:
        snapshot = _cached(repo, revision)
        if snapshot is not None and _is_whole(snapshot.folder):
            return snapshot
    return None


def partial_snapshot(repo: str, revisions: Sequence[str]) -> Snapshot | None:
    """The first of some revisions of which the cache has at least the configuration."""
    return next((found for revision in revisions if (found := _cached(repo, revision)) is not None), None)


def _cached(repo: str, revision: str) -> Snapshot | None:
    from huggingface_hub import try_to_load_from_cache  # late: imports an HTTP client

    config = try_to_load_from_cache(repo, CONFIG, revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return Snapshot(folder, folder.name)


def _is_whole(folder: Path) -> bool:
    """Whether nothing is missing that loading opens; files come from the hub one by one."""
    try:
        open_checkpoint(folder)
        return bool(weight_files(folder)) and any((folder / name).is_file() for name in VOCABULARIES)
    except ModelError:
        return False

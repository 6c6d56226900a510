"""Find checkpoints in the hub's local cache and remove them from it, without the network.

The cache's layout (``models--org--name/refs/main``, ``snapshots/<commit>/``) is huggingface_hub's; so are the
environment variables that move it (``HF_HOME``, ``HF_HUB_CACHE``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import ModelError
from retrieval.hub.checkpoint import CONFIG, has_vocabulary, read_checkpoint, weight_files
from retrieval.shell import shell_command

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo, DeleteCacheStrategy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit of a hub repository in the cache."""

    folder: Path
    commit: str


def find_snapshot(repo: str, revisions: Sequence[str]) -> Snapshot | None:
    """Find the first of some revisions (commits, branches, tags) of which the cache has every file."""
    for revision in revisions:
        snapshot = _cached(repo, revision)
        if snapshot is not None and _is_whole(snapshot.folder):
            return snapshot
    return None


def partial_snapshot(repo: str, revisions: Sequence[str]) -> Snapshot | None:
    """Find the first of some revisions of which the cache has at least the configuration."""
    return next((found for revision in revisions if (found := _cached(repo, revision)) is not None), None)


def need_snapshot(name: str, repo: str, revisions: Sequence[str]) -> Snapshot:
    """Find the first of some revisions of which the cache has every file.

    Args:
        name: that the user gave, for the message.
        repo: ``organisation/name``.
        revisions: commits, branches or tags.

    Raises:
        ModelError: none is there, or only in part.
    """
    if (found := find_snapshot(repo, revisions)) is not None:
        return found
    get = shell_command("models", "get", name)
    if partial_snapshot(repo, revisions) is not None:
        raise ModelError(
            f"{name} is in the local cache only in part, or only as pickles, which vlsearch does not "
            f"open; get its safetensors with: {get}"
        )
    raise ModelError(f"{name} is not in the local cache; get it with: {get}")


@dataclass(frozen=True, slots=True)
class Removal:
    """A plan to remove a repository, or one revision of it, from the cache.

    Attributes:
        repo: ``organisation/name``.
        cache: the cache's folder, which other programs use too.
        commits: those that are removed.
        size_bytes: bytes freed; files that a remaining revision shares are not counted.
        strategy: huggingface_hub's plan.
    """

    repo: str
    cache: Path
    commits: tuple[str, ...]
    size_bytes: int
    strategy: DeleteCacheStrategy


def plan_removal(repo: str, revision: str | None) -> Removal:
    """Find what there is to remove, every revision in the cache or the one asked for; remove nothing.

    Args:
        repo: ``organisation/name``.
        revision: commit, branch or tag; None for all.

    Raises:
        ModelError: it is not in the cache, the cache is not as the hub writes it, or files to be removed lie
            outside the cache.
    """
    from huggingface_hub import constants, scan_cache_dir  # late: imports an HTTP client

    cache = Path(constants.HF_HUB_CACHE)
    what = repo if revision is None else f"{repo}@{revision}"
    if not cache.is_dir():
        raise ModelError(f"{what} is not in the local cache; there is no {cache}")
    info = scan_cache_dir(cache)
    found = next((held for held in info.repos if held.repo_type == "model" and held.repo_id == repo), None)
    if found is None:
        folder = cache / f"models--{repo.replace('/', '--')}"
        if folder.exists():
            raise ModelError(
                f"{folder} is not as the hub leaves a model there; look at it and delete it by hand"
            )
        raise ModelError(f"{what} is not in the local cache {cache}")
    commits = _commits(found, revision)
    if not commits:
        there = ", ".join(sorted({*(held.commit_hash for held in found.revisions), *found.refs}))
        raise ModelError(f"{what} is not in the local cache; of {repo} it has {there}")
    strategy = info.delete_revisions(*commits)
    _check_inside(strategy, cache)
    return Removal(repo, cache, commits, strategy.expected_freed_size, strategy)


def remove(removal: Removal) -> None:
    """Carry out a removal.

    Raises:
        ModelError: some of it could not be deleted.
    """
    removal.strategy.execute()
    left = [path for path in _paths_to_delete(removal.strategy) if path.exists() or path.is_symlink()]
    if left:
        raise ModelError(f"{left[0]} could not be deleted; check your rights to it, and whether it is in use")


def _commits(repo: CachedRepoInfo, revision: str | None) -> tuple[str, ...]:
    held = sorted(repo.revisions, key=lambda found: found.commit_hash)
    return tuple(
        found.commit_hash
        for found in held
        if revision is None or revision == found.commit_hash or revision in found.refs
    )


def _paths_to_delete(strategy: DeleteCacheStrategy) -> list[Path]:
    return sorted(strategy.repos | strategy.snapshots | strategy.refs | strategy.blobs)


def _check_inside(strategy: DeleteCacheStrategy, cache: Path) -> None:
    """Refuse a plan that would delete files elsewhere: links may lead out of the cache."""
    inside = cache.resolve()
    for path in _paths_to_delete(strategy):
        if not path.parent.resolve().is_relative_to(inside):
            raise ModelError(
                f"{path} lies outside the cache {cache}, and is not ours to delete; remove it by hand"
            )


def _cached(repo: str, revision: str) -> Snapshot | None:
    from huggingface_hub import try_to_load_from_cache  # late: imports an HTTP client

    config = try_to_load_from_cache(repo, CONFIG, revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return Snapshot(folder, folder.name)


def _is_whole(folder: Path) -> bool:
    """Whether the folder has every file that loading opens; downloads bring them one by one."""
    try:
        read_checkpoint(folder)
        return bool(weight_files(folder)) and has_vocabulary(folder)
    except ModelError:
        return False

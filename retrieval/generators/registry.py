"""Names of generators: aliases, hub ids, folders. Nothing here reaches the network but :func:`download`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import UnknownModel
from retrieval.extras import is_installed, require
from retrieval.generators.recommended import BEST_FIRST, BUNDLED, RECOMMENDED, RecommendedGenerator
from retrieval.uris import expand_home

if TYPE_CHECKING:
    from retrieval.generators.base import Generator
    from retrieval.hub.local_cache import Removal

ALIASES = {row.alias: row for row in RECOMMENDED}
_BUNDLED_FOLDERS = Path(__file__).parent / "bundled"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True)
class GeneratorSpec:
    """What a name stands for: a folder, or a repository of the hub with the revision that was asked for.

    What comes with vlsearch is a folder with a row of the table.
    """

    name: str
    folder: Path | None
    repo: str
    revision: str | None
    recommended: RecommendedGenerator | None

    @property
    def revisions(self) -> tuple[str, ...]:
        """Acceptable revisions, best first."""
        return (self.revision or "main",)


def resolve(name: str | Path) -> GeneratorSpec:
    """Find what a name stands for: an alias, a folder that is there, or a hub id; aliases and hub ids with ``@REV``.

    Raises:
        UnknownModel: no generator has that name.
    """
    plain, _, revision = str(name).partition("@")
    row = ALIASES.get(plain) or next((row for row in RECOMMENDED if plain and row.hub_id == plain), None)
    if row is not None and not isinstance(name, Path):
        if not row.hub_id:
            if revision:
                raise UnknownModel(f"{plain} comes with vlsearch and has no revisions; leave @{revision} out")
            return GeneratorSpec(plain, _BUNDLED_FOLDERS / plain, "", None, row)
        return GeneratorSpec(str(name), None, row.hub_id, revision or None, row)
    path = expand_home(name)
    if path.is_dir() and str(name).strip():
        return GeneratorSpec(str(path.absolute()), path.absolute(), "", None, None)
    if _HUB_ID.fullmatch(plain) and not isinstance(name, Path):
        return GeneratorSpec(str(name), None, plain, revision or None, None)
    known = ", ".join(ALIASES)
    raise UnknownModel(
        f"no model that writes goes by the name {str(name)!r:.200}; known are {known}, or give organisation/name or "
        "the path of a folder"
    )


def load_generator(name_or_path: str | Path, *, device: str | None = None) -> Generator:
    """Load the generator that a name stands for, from this machine alone.

    Args:
        name_or_path: see :func:`resolve`.
        device: as torch names it (``cpu``, ``cuda``, ``mps``); the CPU by default.

    Raises:
        UnknownModel: no generator has that name.
        ModelError: it is not in the local cache, or its files are missing, damaged or refused.
        MissingExtra: the extra ``models`` is not installed.
    """
    spec = resolve(name_or_path)
    if spec.folder is not None:
        from retrieval.generators.captioner.folder import is_captioner  # late: numpy

        if is_captioner(spec.folder):
            from retrieval.generators.captioner.generator import load_captioner

            return load_captioner(spec.folder, spec.name)
    require("models", f"the model {spec.name}")
    from retrieval.generators.hub_generator import load_hub_generator  # late: torch, transformers
    from retrieval.hub.local_cache import need_snapshot

    tasks = spec.recommended.tasks if spec.recommended else None
    if spec.folder is not None:
        return load_hub_generator(spec.folder, spec.name, "", device, tasks)
    found = need_snapshot(spec.name, spec.repo, spec.revisions)
    return load_hub_generator(found.folder, spec.name, found.commit, device, tasks)


def best_captioner() -> str:
    """Choose the best recommended generator of captions on this machine: what comes with vlsearch, if no other."""
    if not is_installed("models"):
        return BUNDLED
    return next(alias for alias in BEST_FIRST["caption"] if is_cached(resolve(alias)))


def is_cached(spec: GeneratorSpec) -> bool:
    """Whether a generator can be loaded without the network."""
    if spec.folder is not None:
        return (spec.folder / "config.json").is_file()
    from retrieval.hub.local_cache import find_snapshot

    return find_snapshot(spec.repo, spec.revisions) is not None


def is_recommended(name: str) -> bool:
    """Whether a name, with or without ``@revision``, is of a recommended generator that the hub has."""
    plain = name.partition("@")[0]
    return any(row.hub_id and plain in (row.alias, row.hub_id) for row in RECOMMENDED)


def download(name: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Download a generator into the hub's cache and return its folder; the only function that uses the network.

    Args:
        name: an alias or a hub id, either with ``@revision``.
        progress: called with the bytes received so far and the bytes expected.

    Raises:
        UnknownModel: no generator has that name, or it is a folder.
        ModelError: the hub cannot be reached, or has no such model in safetensors.
    """
    spec = resolve(name)
    if spec.folder is not None:
        raise UnknownModel(f"{name} is a folder on this machine; there is nothing to download")
    from retrieval.hub.download import download_snapshot

    return download_snapshot(spec.repo, spec.revision, progress)


def plan_removal(name: str) -> Removal:
    """Plan what :func:`retrieval.hub.local_cache.remove` deletes of a generator in the hub's cache.

    Raises:
        UnknownModel: no generator has that name.
        ModelError: it is not in the cache.
    """
    from retrieval.hub import local_cache

    spec = resolve(name)
    return local_cache.plan_removal(spec.repo, spec.revision)

"""Names of models to encoders: aliases, hub ids, folders, and ``auto``.

Resolving a name (:func:`resolve`) and building its encoder (:func:`load_encoder`) are two steps. Nothing here
reaches the network but :func:`download`; nothing heavy is imported before an encoder is built, so that
``--help`` may import this module.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from retrieval.encoders.recommended import BEST_FIRST as BEST_FIRST
from retrieval.encoders.recommended import RECOMMENDED as RECOMMENDED
from retrieval.encoders.recommended import Published as Published
from retrieval.encoders.recommended import RecommendedModel as RecommendedModel
from retrieval.encoders.runtimes.choice import Computation, chosen_computation
from retrieval.errors import UnknownModel
from retrieval.extras import is_installed, require
from retrieval.uris import expand_home

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder
    from retrieval.hub.local_cache import Removal
    from retrieval.identity import Identity

BUNDLED = Path(__file__).parent / "bundled"
TWO_TOWER = "vlsearch-two-tower"
AUTO = "auto"
FIRST_DOWNLOAD = "siglip2-base"  # what to get first where there is only mini: no GPU needed, many languages

_ALIASES = {model.alias: model for model in RECOMMENDED}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model that a name stands for.

    Attributes:
        name: that :func:`resolve` takes again and an encoder's identity keeps: alias, hub id, either with
            ``@revision``, or absolute folder.
        kind: in the package, on the hub, or a folder.
        place: folder, or hub id.
        revision: asked for by name (``NAME@REVISION``), or None.
        recommended: its row in the table of recommended models, if it has one.
    """

    name: str
    kind: Literal["bundled", "hub", "folder"]
    place: str
    revision: str | None = None
    recommended: RecommendedModel | None = None

    @property
    def revisions(self) -> tuple[str, ...]:
        """Acceptable revisions, best first."""
        if self.revision is not None:
            return (self.revision,)
        pinned = self.recommended.revision if self.recommended else None
        return (pinned, "main") if pinned else ("main",)


def resolve(name: str | Path) -> ModelSpec:
    """Find what a name stands for; the only thing looked up is whether a folder of that name exists.

    Args:
        name: an alias, ``organisation/name``, either with ``@revision``, or the path of a folder; an alias
            goes first, then the hub id of a recommended model, then a folder, then any other hub id.

    Raises:
        UnknownModel: no model has that name; the message names similar ones.
    """
    if isinstance(name, Path):
        return _folder(name)
    if not name.strip():
        raise UnknownModel(_unknown(name))
    plain, _, revision = name.partition("@")
    if (model := _ALIASES.get(plain)) is not None:
        if model.hub_id is None:
            if revision:
                raise UnknownModel(f"{plain} comes with vlsearch and has no revisions; leave @{revision} out")
            return ModelSpec(plain, "bundled", str(BUNDLED / plain), None, model)
        return ModelSpec(name, "hub", model.hub_id, revision or None, model)
    path = expand_home(name)
    if (recommended := _recommended(plain)) is not None:
        return ModelSpec(name, "hub", plain, revision or None, recommended)
    if path.is_dir() or name.startswith((".", "/", "~")) or path.is_absolute():
        return _folder(path)
    if _HUB_ID.fullmatch(plain):
        return ModelSpec(name, "hub", plain, revision or None)
    raise UnknownModel(_unknown(plain))


def load_encoder(
    name_or_path: str | Path = AUTO,
    *,
    device: str | None = None,
    runtime: str | None = None,
    precision: str | None = None,
) -> Encoder:
    """Load the encoder that a name stands for, from this machine alone.

    Args:
        name_or_path: see :func:`resolve`; ``auto`` is :func:`auto_choice`.
        device: as torch names it (``cpu``, ``cuda``, ``mps``); the CPU by default.
        runtime: what computes the image tower of a two-tower model (``mini`` is one) and both towers of a hub
            checkpoint: ``torch``, ``openvino``, or ``auto``; by default $VLSEARCH_RUNTIME, else ``auto``.
        precision: that the runtime computes in: ``float32``, ``bfloat16``, ``int8``, or ``auto``; by
            default $VLSEARCH_PRECISION, else ``auto``.

    Raises:
        UnknownModel: no model has that name.
        ModelError: it is not in the local cache, its files are missing, damaged or refused, or the runtime cannot
            compute it.
        UsageError: no runtime or no precision has that name.
        MissingExtra: the runtime, or what a hub checkpoint needs, is not installed.
    """
    asked = chosen_computation(runtime, precision)
    spec = auto_choice()[0] if name_or_path == AUTO else resolve(name_or_path)
    if spec.kind == "hub":
        from retrieval.encoders.hub_encoder import load_hub_encoder  # late: imports torch

        require("models", f"the model {spec.name}")
        folder, commit = _cached(spec)
        return load_hub_encoder(folder, spec.name, commit, device, asked)
    revision = spec.recommended.revision if spec.recommended else None  # of the bundled weights
    return _load_folder(Path(spec.place), spec.name, device, revision or "", asked)


def load_bound_encoder(identity: Identity) -> Encoder:
    """Load the encoder that a collection is bound to, at the bound commit even where a branch has moved on since.

    Raises:
        UnknownModel: no model has that name, or its folder is gone.
        ModelError: it is not in the local cache at that commit, or its files are missing, damaged or refused.
        MissingExtra: what it needs is not installed.
    """
    spec = _resolve_bound(identity.name)
    if spec.kind != "hub" or spec.revision is not None or not identity.revision:
        return load_encoder(spec.place if spec.kind == "folder" else identity.name)
    asked = chosen_computation(None, None)
    require("models", f"the model {spec.name}")
    from retrieval.encoders.hub_encoder import load_hub_encoder  # late: imports torch

    folder, commit = _cached(
        replace(spec, name=f"{spec.name}@{identity.revision}", revision=identity.revision)
    )
    return load_hub_encoder(folder, spec.name, commit, asked=asked)


def _resolve_bound(name: str) -> ModelSpec:
    """Find what the name in a collection's identity stands for: never a folder relative to the working directory.

    Collections are bound to absolute folders; a name that a stranger wrote must not find a folder by chance.

    Raises:
        UnknownModel: no model has that name.
    """
    spec = resolve(name)
    if spec.kind != "folder" or Path(name).is_absolute():
        return spec
    plain, _, revision = name.partition("@")
    if _HUB_ID.fullmatch(plain):
        return ModelSpec(name, "hub", plain, revision or None)
    raise UnknownModel(_unknown(name))


def _recommended(hub_id: str) -> RecommendedModel | None:
    return next((row for row in RECOMMENDED if row.hub_id == hub_id), None)


def local_folder(spec: ModelSpec) -> Path:
    """Find the folder on this machine that holds a model's files.

    Raises:
        ModelError: it is not in the local cache, or not whole.
    """
    return _cached(spec)[0] if spec.kind == "hub" else Path(spec.place)


def is_cached(spec: ModelSpec) -> bool:
    """Whether a model can be loaded without the network."""
    if spec.kind != "hub":
        return (Path(spec.place) / "config.json").is_file()
    from retrieval.hub.local_cache import find_snapshot

    return find_snapshot(spec.place, spec.revisions) is not None


def auto_choice() -> tuple[ModelSpec, str]:
    """Choose the best recommended model on this machine; also give a line: what it is good for, which is better.

    Does not use the network. The order is :data:`BEST_FIRST`. Without the extra ``models``, the hub's do not count.
    """
    specs = [resolve(alias) for alias in BEST_FIRST]
    here = next(place for place, spec in enumerate(specs) if spec.kind == "bundled" or is_cached(spec))
    usable = is_installed("models")
    rank = here if usable else next(place for place, spec in enumerate(specs) if spec.kind == "bundled")
    row = _ALIASES[BEST_FIRST[rank]]
    line = f"model: {row.alias} ({row.good_for})"
    if here < rank:
        need = "is on this machine and needs: pip install 'vlsearch[models]'"
        return specs[rank], f"{line}; a better one, {specs[here].name}, {need}"
    if rank == 0:
        return specs[rank], line
    better = _ALIASES[FIRST_DOWNLOAD if BEST_FIRST.index(FIRST_DOWNLOAD) < rank else BEST_FIRST[rank - 1]]
    line += f"; a better one, {better.size_mb:,} MB: vlsearch models get {better.alias}"
    return specs[rank], line if usable else f"{line}, which needs: pip install 'vlsearch[models]'"


def download(name: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Download a model into the hub's cache and return its folder; the only function that uses the network.

    Args:
        name: an alias or a hub id, either with ``@revision``.
        progress: called with the bytes received so far and the bytes expected.

    Raises:
        UnknownModel: no model has that name, or it is a folder.
        ModelError: the hub cannot be reached, or has no such model in safetensors.
    """
    spec = resolve(name)
    if spec.kind == "bundled":
        return Path(spec.place)
    if spec.kind == "folder":
        raise UnknownModel(f"{name} is a folder on this machine; there is nothing to download")
    from retrieval.hub.download import download_snapshot

    pinned = spec.recommended.revision if spec.recommended else None
    return download_snapshot(spec.place, spec.revision or pinned, progress)


def plan_removal(name: str) -> Removal:
    """Plan what :func:`remove` deletes of a model in the hub's cache.

    Args:
        name: an alias or a hub id, all of whose revisions go; either with ``@revision``, and that one goes.

    Raises:
        UnknownModel: no model has that name, or it is not one of the hub's.
        ModelError: it is not in the cache.
    """
    spec = resolve(name)
    if spec.kind == "bundled":
        raise UnknownModel(f"{name} is part of vlsearch and cannot be removed")
    if spec.kind == "folder":
        raise UnknownModel(f"{spec.place} is a folder of yours, not in the hub's cache; delete it yourself")
    from retrieval.hub import local_cache

    return local_cache.plan_removal(spec.place, spec.revision)


def remove(removal: Removal) -> None:
    """Delete what was planned, and nothing outside the hub's cache.

    Raises:
        ModelError: some of it could not be deleted.
    """
    from retrieval.hub import local_cache

    local_cache.remove(removal)


def _folder(path: Path) -> ModelSpec:
    folder = expand_home(path).absolute()
    if not folder.is_dir():
        raise UnknownModel(f"there is no model folder at {folder}")
    return ModelSpec(str(folder), "folder", str(folder))


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), _ALIASES, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}" if near else f"known are {', '.join(_ALIASES)}"
    return f"no model goes by the name {name!r}; {hint}, or give organisation/name or the path of a folder"


def _cached(spec: ModelSpec) -> tuple[Path, str]:
    """Find the folder and the commit of a hub model in the cache.

    Raises:
        ModelError: it is not there, or not whole.
    """
    from retrieval.hub.local_cache import need_snapshot

    found = need_snapshot(spec.name, spec.place, spec.revisions)
    return found.folder, found.commit


def _load_folder(folder: Path, name: str, device: str | None, revision: str, asked: Computation) -> Encoder:
    from retrieval.hub.checkpoint import model_type

    if model_type(folder) == TWO_TOWER:
        from retrieval.encoders.two_tower import load_two_tower_encoder  # late: numpy, tokenizers

        return load_two_tower_encoder(folder, name, device, revision, asked)
    require("models", f"the model {name}")
    from retrieval.encoders.hub_encoder import load_hub_encoder

    return load_hub_encoder(folder, name, revision, device, asked)

"""Find the calibration of the model that an identity names, without loading the model."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from retrieval.calibration import Calibration, read_calibration
from retrieval.encoders.registry import resolve
from retrieval.errors import UnknownModel
from retrieval.identity import Identity


@lru_cache(maxsize=16)
def calibration_of(identity: Identity) -> Calibration | None:
    """Read the calibration of a model by its identity; None where it has none, or its folder has other weights.

    Models of the hub have none: nobody has fitted one for them.
    """
    try:
        spec = resolve(identity.name)
    except UnknownModel:
        return None
    if spec.kind == "hub":
        return None
    return read_calibration(Path(spec.place), identity.weights, identity.dimension)

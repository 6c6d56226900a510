"""What must be equal for two vectors to be comparable: bound by a collection, checked by every writer and query."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields

LARGEST_DIMENSION = 2**20


@dataclass(frozen=True, slots=True)
class Identity:
    """What must be equal for two vectors to be comparable (``name`` only says how to load the encoder again).

    Attributes:
        name: alias, hub id or absolute folder that ``load_encoder`` takes.
        family: ``two-tower``, ``clip``, ``siglip``, ...
        weights: sha256 of the weights, hex.
        revision: commit of a hub checkpoint, or an empty string.
        dimension: of the vectors.
        preprocessing: of pictures and texts, as canonical JSON: size, crop, resampling, mean, std, case, length.
        precision: ``float32``, ``bfloat16``, ...
        runtime: class of runtimes whose vectors agree. ``torch`` is torch and every other runtime whose float32 rows
            differ from its by at most 1e-5 an element (OpenVINO does): one collection may hold vectors of both.
    """

    name: str
    family: str
    weights: str
    revision: str
    dimension: int
    preprocessing: str
    precision: str = "float32"
    runtime: str = "torch"

    @classmethod
    def from_facts(cls, facts: object) -> Identity:
        """Read an identity from the parsed JSON that :meth:`to_json` writes.

        Raises:
            ValueError: it is something else; the message is a clause.
        """
        if not isinstance(facts, dict):
            raise ValueError("the identity is not an object")
        try:
            identity = cls(**facts)
        except TypeError as error:
            raise ValueError(f"the identity has other fields ({error})") from error
        for name in (field.name for field in fields(cls)):
            value = getattr(identity, name)
            if name == "dimension":
                sound = type(value) is int and 1 <= value <= LARGEST_DIMENSION
            else:
                sound = isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)
            if not sound:
                raise ValueError(f"the identity has {value!r:.80} as its {name}")
        return identity

    def to_json(self) -> str:
        """Write canonical JSON; :meth:`from_facts` reads it back."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @property
    def digest(self) -> str:
        """The sha256 (hex) over everything but the name."""
        facts = asdict(self)
        del facts["name"]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def difference(self, other: Identity) -> str:
        """Name the fields in which two identities differ, with both values, as a clause for an error message."""
        mine, theirs = asdict(self), asdict(other)
        return "; ".join(
            f"{name} {_shorten(mine[name])} against {_shorten(theirs[name])}"
            for name in mine
            if name != "name" and mine[name] != theirs[name]
        )


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:24]}...{text[-24:]}"

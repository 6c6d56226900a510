"""What must be equal for two vectors to be comparable: bound by a collection, checked by every writer and query."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any

LARGEST_DIMENSION = 2**20

# Precisions and runtimes whose vectors one collection may hold, and what stands for them in a digest: what was the only
# one when digests were first written.
_COMPARABLE: Mapping[str, tuple[frozenset[str], str]] = {
    "precision": (frozenset({"float32", "bfloat16", "float16", "int8"}), "float32"),
    "runtime": (frozenset({"torch", "openvino", "numpy"}), "torch"),
}
_EACH_TOWER = re.compile(r"images ([\w+]+), texts ([\w+]+)")


@dataclass(frozen=True, slots=True)
class Identity:
    """What must be equal for two vectors to be comparable, and how they were computed.

    ``name`` only says how to load the encoder again. Vectors of the same weights in float32, bfloat16, float16 or int8
    and through any runtime are comparable: ``digest`` is the same for them, ``exact_digest`` is not.

    Attributes:
        name: alias, hub id or absolute folder that ``load_encoder`` takes.
        family: ``two-tower``, ``clip``, ``siglip``, ...
        weights: sha256 of the weights, hex.
        revision: commit of a hub checkpoint, or an empty string.
        dimension: of the vectors.
        preprocessing: of pictures and texts, as canonical JSON: size, crop, resampling, mean, std, case, length.
        precision: ``float32``, ``bfloat16``, ``float16`` or ``int8`` if it is that of both towers, else one a tower:
            ``images bfloat16, texts float32``. Where vectors of several lie in a collection: ``bfloat16+float32``.
        runtime: ``torch``, ``openvino`` or ``numpy``, written in the same way.
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
        """The sha256 (hex) over what makes vectors comparable: equal where one collection may hold both."""
        return _comparable_digest(self)

    @property
    def exact_digest(self) -> str:
        """The sha256 (hex) over everything but the name: other where a vector's last bits may be others."""
        return _digest(asdict(self))

    def difference(self, other: Identity) -> str:
        """Name the fields that make vectors incomparable, with both values, as a clause for an error message."""
        mine, theirs = _comparable(self), _comparable(other)
        return "; ".join(
            f"{name} {_shorten(getattr(self, name))} against {_shorten(getattr(other, name))}"
            for name in mine
            if name != "name" and mine[name] != theirs[name]
        )

    def joined(self, other: Identity) -> Identity:
        """Add the precisions and runtimes of an identity with the same digest to those of this one."""
        return replace(
            self,
            precision=_joined(self.precision, other.precision),
            runtime=_joined(self.runtime, other.runtime),
        )


def each_tower(images: str, texts: str) -> str:
    """Write what holds of the image tower and what of the text tower; one word if they are the same."""
    return images if images == texts else f"images {images}, texts {texts}"


def _towers(value: str) -> list[set[str]]:
    """Read :func:`each_tower`: the words of the image tower and those of the text tower."""
    found = _EACH_TOWER.fullmatch(value)
    return [set(part.split("+")) for part in (found.groups() if found else (value, value))]


def _joined(mine: str, theirs: str) -> str:
    images, texts = (
        "+".join(sorted(one | other)) for one, other in zip(_towers(mine), _towers(theirs), strict=True)
    )
    return each_tower(images, texts)


def _comparable(identity: Identity) -> dict[str, Any]:
    """Give all fields, with precisions and runtimes that may be mixed under one name."""
    facts = asdict(identity)
    for name, (known, stands_for) in _COMPARABLE.items():
        if set().union(*_towers(facts[name])) <= known:
            facts[name] = stands_for
    return facts


@lru_cache(maxsize=64)
def _comparable_digest(identity: Identity) -> str:
    """Compute :attr:`Identity.digest`; a query asks for it five times, which took a tenth of its time."""
    return _digest(_comparable(identity))


def _digest(facts: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in facts.items() if name != "name"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:24]}...{text[-24:]}"

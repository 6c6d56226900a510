"""Random conditions, items for them, and a plain evaluator in Python of what SQLite answers in the product."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from retrieval.collection.filters.values import as_date, as_number, stored_date
from retrieval.expressions import (
    And,
    Between,
    Comparison,
    Contains,
    Expression,
    Missing,
    Near,
    Not,
    OneOf,
    Or,
    Prefix,
    Under,
    Value,
)
from retrieval.texts import fold
from retrieval.types import Attribute, Kind

TEXTS = ("Canon", "canon R5", "CANON", "Straße", "雪地", "雪", "a%b", "_", "é", "e\u0301", "", "12", "true")
LISTED = ("dog", "Dog", "beach", "雪", "", "12")
DATES = ("2021-05-03T12:30:00", "2021-05", "2020-12-31", "2021-05-03 12:30", "1999-01-01T00:00:00+01:00")
NUMBERS = (0, 1, 2, 12, -5, 3.5, 1e300, 10**30, 2**53 + 1)
FOLDERS = ("/photos", "/photos/2021", "/photos/2021/Mai", "/photo", "/PHOTOS", "/a b#c")
FILES = ("IMG_1.jpg", "img_2.JPG", "雪.png", "x.jpg")

_KNOWN: tuple[Value, ...] = (*TEXTS, *LISTED, *NUMBERS, *DATES, *FOLDERS, *FILES)
_OTHERS: tuple[Value, ...] = (
    "2021",
    "2021-05-03",
    "2021-05-03T12",
    "1999",
    "3.5",
    "2",
    "12.0",
    "yes",
    "no",
    True,
)
_VALUES: st.SearchStrategy[Value] = st.sampled_from((*_KNOWN, *_OTHERS))


_ATTRIBUTES = ("camera", "keywords", "taken", "rating", "favorite", "mixed")
ITEM_NAMES = ("folder", "name", "kind", "width", "height", "bytes", "key", "corpus", "lang")


def conditions(names: tuple[str, ...] = (*_ATTRIBUTES, *ITEM_NAMES)) -> st.SearchStrategy[Expression]:
    """One comparison of one of some fields."""
    name, text = st.sampled_from(names), st.sampled_from([*TEXTS, *LISTED, "2021-0", "img", "photos", ".jpg"])
    operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    return st.one_of(
        st.builds(Comparison, name, operators, _VALUES),
        st.builds(OneOf, name, st.lists(_VALUES, min_size=1, max_size=4).map(tuple)),
        st.builds(Between, name, _VALUES, _VALUES),
        st.builds(Missing, name),
        st.builds(Contains, name, text),
        st.builds(Prefix, name, text),
        st.builds(Under, st.sampled_from([*FOLDERS, "/", "/photos/2021/"])),
        st.builds(
            Near,
            st.sampled_from([48.1, 0, 90]),
            st.sampled_from([11.0, 180]),
            st.sampled_from([0.0, 12, 5000, 20038]),
        ),
    )


def expressions(leaves: st.SearchStrategy[Expression] | None = None) -> st.SearchStrategy[Expression]:
    """Conditions joined by and, or and not."""
    return st.recursive(
        conditions() if leaves is None else leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        ),
        max_leaves=8,
    )


@dataclass(frozen=True)
class PlainItem:
    """An item as a test makes it; ``path`` is None where it has only a key."""

    kind: Kind
    path: str | None
    key: str | None = None
    lang: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    corpora: tuple[str, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def values(self, name: str) -> list[tuple[str, object]]:
        """Values of a field, each with its type."""
        if name in ITEM_NAMES:
            return [(_type_of(name), value) for value in self._own(name) if value is not None]
        value = self.attributes.get(name)
        if isinstance(value, bool):
            return [("boolean", value)]
        if isinstance(value, (int, float)):
            return [("number", value)]
        if isinstance(value, str):
            return [("text", value) if stored_date(value) is None else ("date", value)]
        return [("list", text) for text in value or ()]

    def _own(self, name: str) -> tuple[object, ...]:
        if name in ("folder", "name"):
            folder, _, file = (self.path or "").rpartition("/")
            return () if self.path is None else (folder if name == "folder" else file,)
        if name == "corpus":
            return self.corpora
        return (getattr(self, name),)


def _type_of(name: str) -> str:
    return "number" if name in ("width", "height", "bytes") else "text"


def random_items(count: int, seed: int) -> list[PlainItem]:
    """Make items of both kinds; their attribute ``mixed`` has values of any type."""
    rng = random.Random(seed)
    return [_random_item(rng, number) for number in range(count)]


def _random_item(rng: random.Random, number: int) -> PlainItem:
    kind: Kind = rng.choice(["image", "image", "image", "text"])
    is_sized = kind == "image" and rng.random() < 0.8
    path = f"{rng.choice(FOLDERS)}/{number}{rng.choice(FILES)}" if rng.random() < 0.9 else None
    key = f"{rng.choice(['SKU', 'sku'])}-{number}" if path is None or rng.random() < 0.3 else None
    return PlainItem(
        kind=kind,
        path=path,
        key=key,
        lang=rng.choice(["en", "zh", "EN", None]) if kind == "text" else None,
        width=rng.choice([100, 12, 4000]) if is_sized else None,
        height=rng.choice([100, 12]) if is_sized else None,
        bytes=rng.choice([0, 12, 10**6]) if kind == "image" and path is not None else None,
        corpora=(rng.choice(["/photos", "/b.csv"]),),
        attributes=_random_attributes(rng),
    )


def _random_attributes(rng: random.Random) -> dict[str, Attribute]:
    listed = [rng.choice(LISTED) for _ in range(rng.randrange(3))]
    found: dict[str, Attribute] = {
        "camera": rng.choice(TEXTS),
        "keywords": listed,
        "taken": rng.choice(DATES),
        "rating": rng.choice(NUMBERS),
        "favorite": rng.random() < 0.5,
        "mixed": rng.choice([rng.choice(TEXTS), listed, rng.choice(DATES), rng.choice(NUMBERS), True, None]),
    }
    found = {name: value for name, value in found.items() if rng.random() < 0.6}
    if rng.random() < 0.5:
        found |= {"lat": rng.choice([48.1, 48.2, -90, 0, 90]), "lon": rng.choice([11, 179.9, -179.9, 0])}
    return found


def naive(expression: Expression, items: Sequence[PlainItem]) -> list[bool] | None:
    """Tell of each item, by plain Python, whether it meets a condition; None where the condition is a mistake."""
    if isinstance(expression, (And, Or)):
        parts = [naive(part, items) for part in expression.parts]
        if None in parts:
            return None
        join = all if isinstance(expression, And) else any
        return [join(met) for met in zip(*(part for part in parts if part is not None), strict=True)]
    if isinstance(expression, Not):
        inner = naive(expression.part, items)
        return None if inner is None else [not met for met in inner]
    if isinstance(expression, Under):
        folder = expression.path.rstrip("/")
        return [item.path is not None and item.path.startswith(f"{folder}/") for item in items]
    if isinstance(expression, Near):
        return _near(expression, items)
    assert isinstance(expression, (Missing, Comparison, OneOf, Between, Contains, Prefix))
    values = [item.values(expression.field) for item in items]
    types = {kind for of_item in values for kind, _ in of_item}
    if expression.field in ITEM_NAMES:
        types = {_type_of(expression.field)}
    if not types:
        return None  # no item has such an attribute
    if isinstance(expression, Missing):
        return [not of_item for of_item in values]
    if all(_meets(expression, kind, None) is None for kind in types):
        return None
    return [any(_meets(expression, kind, value) for kind, value in of_item) for of_item in values]


def _meets(condition: Expression, kind: str, value: object) -> bool | None:
    """Compare one value; None where the condition compares with what no value of the type is."""
    if isinstance(condition, (Contains, Prefix)):
        if kind in ("number", "boolean"):
            return None
        have, want = _comparable(value or "", kind), _part(condition.text, kind)
        assert isinstance(have, str)
        if isinstance(condition, Prefix):
            return have.startswith(want)
        return have == want if kind == "list" else want in have
    if isinstance(condition, OneOf):
        found = [_compare("=", kind, value, one) for one in condition.values]
        return None if all(one is None for one in found) else any(found)
    if isinstance(condition, Between):
        both = _compare(">=", kind, value, condition.low), _compare("<=", kind, value, condition.high)
        return None if None in both else all(both)
    assert isinstance(condition, Comparison)
    return _compare(condition.operator, kind, value, condition.value)


def _part(text: str, kind: str) -> str:
    return text.upper().replace(" ", "T") if kind == "date" else fold(text)


def _comparable(value: object, kind: str) -> object:
    return _part(str(value), kind) if kind in ("text", "list", "date") else value


def _compare(operator: str, kind: str, value: object, other: Value) -> bool | None:
    wanted: Any
    if kind == "date":
        wanted = as_date(other)
    elif kind == "number":
        wanted = as_number(other)
    elif kind == "boolean":
        wanted = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            str(other).lower()
        )
    else:
        wanted = fold(str(other).lower() if isinstance(other, bool) else str(other))
    if wanted is None or value is None:
        return None if wanted is None else False
    have: Any = _comparable(value, kind)
    if kind == "number":
        have = float(have) if abs(have) >= 2**63 else have
    equal = have.startswith(wanted) if kind == "date" else have == wanted
    met: dict[str, bool] = {
        "=": equal,
        "!=": not equal,
        "<": have < wanted and not equal,
        "<=": have < wanted or equal,
        ">": have > wanted and not equal,
        ">=": have > wanted or equal,
    }
    return met[operator]


def _near(place: Near, items: Sequence[PlainItem]) -> list[bool] | None:
    if not all(any(name in item.attributes for item in items) for name in ("lat", "lon")):
        return None
    met = []
    for item in items:
        lat, lon = item.attributes.get("lat"), item.attributes.get("lon")
        if not isinstance(lat, (int, float)) or not isinstance(lon, (int, float)):
            met.append(False)
            continue
        one, other = (_on_the_sphere(*at) for at in ((lat, lon), (place.lat, place.lon)))
        chord = math.dist(one, other)
        met.append(2 * 6371.0088 * math.asin(min(1.0, chord / 2)) <= place.kilometres + 1e-6)
    return met


def _on_the_sphere(lat: float, lon: float) -> tuple[float, float, float]:
    phi, theta = math.radians(lat), math.radians(lon)
    return math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi)

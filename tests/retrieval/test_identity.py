"""An encoder's identity: written and read back, compared without its name, and never taken from nonsense."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, asdict, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.identity import LARGEST_DIMENSION, Identity
from tests.builders import IDENTITY

WORD = st.text(max_size=10)
IDENTITIES = st.builds(
    Identity, WORD, WORD, WORD, WORD, st.integers(1, LARGEST_DIMENSION), WORD, precision=WORD, runtime=WORD
)
TEXT_FIELDS = [field.name for field in fields(Identity) if field.name != "dimension"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(IDENTITIES)
def test_an_identity_that_is_written_is_read_back(identity: Identity) -> None:
    assert Identity.from_facts(json.loads(identity.to_json())) == identity


@given(IDENTITIES)
def test_what_is_written_is_canonical(identity: Identity) -> None:
    facts = json.loads(identity.to_json())

    assert list(facts) == sorted(facts)
    assert Identity.from_facts(dict(reversed(facts.items()))).to_json() == identity.to_json()


@given(IDENTITIES, WORD)
def test_the_name_says_how_to_load_and_makes_no_other_encoder(identity: Identity, name: str) -> None:
    renamed = replace(identity, name=name)

    assert renamed.digest == identity.digest
    assert identity.difference(renamed) == ""


@given(IDENTITIES, st.sampled_from([name for name in TEXT_FIELDS if name != "name"]), WORD)
def test_any_other_field_makes_another_encoder_and_is_named_with_both_values(
    identity: Identity, field: str, value: str
) -> None:
    changed: dict[str, Any] = {field: value}
    other = replace(identity, **changed)

    same = getattr(identity, field) == value
    assert (other.digest == identity.digest) == same
    assert identity.difference(other) == (
        "" if same else f"{field} {getattr(identity, field)} against {value}"
    )


@given(IDENTITIES, st.integers(1, LARGEST_DIMENSION))
def test_the_dimension_makes_another_encoder(identity: Identity, dimension: int) -> None:
    other = replace(identity, dimension=dimension)

    assert (other.digest == identity.digest) == (other.dimension == identity.dimension)


@given(JSON)
def test_any_json_that_is_not_an_identity_is_refused_with_a_clause(facts: object) -> None:
    with pytest.raises(ValueError, match="the identity"):
        Identity.from_facts(facts)


@pytest.mark.parametrize("name", TEXT_FIELDS)
@pytest.mark.parametrize("value", [None, 3, ["clip"], "half \ud800 of a pair"])
def test_a_field_of_another_type_is_refused_by_name(name: str, value: object) -> None:
    facts: dict[str, Any] = asdict(IDENTITY) | {name: value}

    with pytest.raises(ValueError, match=f"as its {name}"):
        Identity.from_facts(facts)


@pytest.mark.parametrize("dimension", [0, -1, LARGEST_DIMENSION + 1, 16.0, True, "16", None])
def test_a_dimension_is_a_whole_number_within_bounds(dimension: object) -> None:
    with pytest.raises(ValueError, match="as its dimension"):
        Identity.from_facts(asdict(IDENTITY) | {"dimension": dimension})


def test_unknown_and_missing_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="other fields"):
        Identity.from_facts(asdict(IDENTITY) | {"colour": "red"})
    with pytest.raises(ValueError, match="other fields"):
        Identity.from_facts({"name": "clip"})


def test_fields_with_a_default_may_be_missing() -> None:
    facts = asdict(IDENTITY)
    del facts["precision"], facts["runtime"]

    identity = Identity.from_facts(facts)

    assert (identity.precision, identity.runtime) == ("float32", "torch")


def test_long_values_are_shortened_where_they_are_compared() -> None:
    other = replace(IDENTITY, preprocessing="x" * 500)

    assert len(IDENTITY.difference(other)) < 120


def test_an_identity_cannot_be_changed_and_survives_pickling() -> None:
    with pytest.raises(FrozenInstanceError):
        IDENTITY.dimension = 3  # type: ignore[misc]  # what the test is about

    assert pickle.loads(pickle.dumps(IDENTITY)) == IDENTITY

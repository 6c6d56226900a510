"""Which vectors one collection may hold, as identities tell it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from retrieval.identity import Identity, each_tower

FLOAT32 = Identity("mini", "two-tower", "ab" * 32, "1", 512, "{}")
DIGEST = "b2cc702cec0722743f7e1d1b9247e7c36b97586d88f4163c13e7cb2abc7944f5"


def test_a_digest_is_the_one_that_collections_were_bound_to_when_there_was_one_precision() -> None:
    assert FLOAT32.digest == FLOAT32.exact_digest == DIGEST


@pytest.mark.parametrize(
    "precision", ["bfloat16", "float16", "images int8, texts float32", "bfloat16+float32+int8"]
)
@pytest.mark.parametrize("runtime", ["openvino", "images openvino, texts numpy", "openvino+torch"])
def test_precisions_and_runtimes_of_the_same_weights_are_comparable_but_not_the_same_bits(
    precision: str, runtime: str
) -> None:
    other = replace(FLOAT32, precision=precision, runtime=runtime)

    assert other.digest == FLOAT32.digest
    assert other.exact_digest != FLOAT32.exact_digest
    assert FLOAT32.difference(other) == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("precision", "int4"),
        ("precision", "images int4, texts float32"),
        ("precision", "float32+int4"),
        ("precision", ""),
        ("runtime", "abacus"),
        ("weights", "cd" * 32),
    ],
)
def test_other_precisions_runtimes_and_weights_are_not_comparable(field: str, value: str) -> None:
    other = replace(FLOAT32, **{field: value})  # type: ignore[arg-type]  # each field given is a str

    assert other.digest != FLOAT32.digest
    assert FLOAT32.difference(other).startswith(f"{field} ")


def test_joined_identities_tell_what_computed_each_tower() -> None:
    fast = replace(
        FLOAT32, precision="images bfloat16, texts float32", runtime="images openvino, texts numpy"
    )

    both = FLOAT32.joined(fast)

    assert both.precision == "images bfloat16+float32, texts float32"
    assert both.runtime == "images openvino+torch, texts numpy+torch"
    assert both.joined(fast) == both == both.joined(FLOAT32)
    assert Identity.from_facts(json.loads(both.to_json())) == both


def test_what_holds_of_both_towers_is_written_once() -> None:
    assert each_tower("openvino", "openvino") == "openvino"
    assert each_tower("openvino", "numpy") == "images openvino, texts numpy"

"""Rates, decay and plans."""

from __future__ import annotations

import pytest
from torch import nn

from indexer.training.schedule import Plan, parameter_groups, warmup_cosine


def test_the_rate_rises_to_its_peak_and_falls_to_nought() -> None:
    assert [warmup_cosine(step, 2, 10) for step in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert warmup_cosine(6, 2, 10) == pytest.approx(0.5)
    assert warmup_cosine(10, 2, 10) == pytest.approx(0)


def test_a_part_that_is_locked_at_first_warms_up_when_it_is_unlocked() -> None:
    plan = Plan(start=10, warmup=4, total=50, peak=2.0)

    assert [plan.is_locked(step) for step in (0, 9, 10)] == [True, True, False]
    assert [plan.rate(step) for step in (9, 10, 11, 13, 14)] == [0, 0.5, 1.0, 2.0, 2.0]
    assert plan.rate(32) == pytest.approx(1.0)


def test_norms_biases_and_other_vectors_do_not_decay() -> None:
    layers = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Conv2d(1, 2, 3), nn.Embedding(5, 2))

    groups = parameter_groups([("text", layers.parameters())], 0.1)

    decayed = {id(weight) for group in groups if group["weight_decay"] for weight in group["params"]}  # type: ignore[attr-defined]
    assert decayed == {id(layers[0].weight), id(layers[2].weight), id(layers[3].weight)}
    assert {group["part"] for group in groups} == {"text"}

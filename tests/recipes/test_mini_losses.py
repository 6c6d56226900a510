"""Losses of the recipe of mini, against their formulas."""

from __future__ import annotations

import pytest
import torch

from recipes.mini.objective import asymmetric, both_ways, multi_positive_info_nce, similarities_lost


def test_with_one_positive_a_row_the_loss_is_cross_entropy() -> None:
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(1))
    diagonal = torch.eye(5, dtype=torch.bool)

    found = multi_positive_info_nce(logits, diagonal, torch.zeros_like(diagonal))

    expected = torch.nn.functional.cross_entropy(logits, torch.arange(5))
    torch.testing.assert_close(found, expected)


def test_pairs_that_may_be_right_have_no_gradient() -> None:
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(2)).requires_grad_()
    positive = torch.zeros(4, 6, dtype=torch.bool)
    positive[range(4), range(4)] = True
    unknown = torch.zeros_like(positive)
    unknown[0, 5] = unknown[2, 1] = True

    both_ways(logits, positive, unknown).backward()  # type: ignore[no-untyped-call]  # torch

    assert logits.grad is not None
    assert not logits.grad[unknown].any()
    assert logits.grad[~unknown].all()


def test_texts_without_a_photograph_are_negatives_and_ask_nothing() -> None:
    logits = torch.zeros(2, 3)
    positive = torch.tensor([[True, False, False], [False, True, False]])
    unknown = torch.zeros_like(positive)

    assert both_ways(logits, positive, unknown).isfinite()


def test_without_focus_and_margin_the_asymmetric_loss_is_binary_cross_entropy() -> None:
    logits = torch.randn(3, 7, generator=torch.Generator().manual_seed(3))
    positive = logits.roll(1, 1) > 0

    found = asymmetric(logits, positive, torch.zeros_like(positive), focus=0.0, margin=0.0)

    expected = (
        torch.nn.functional.binary_cross_entropy_with_logits(logits, positive.float(), reduction="sum") / 3
    )
    torch.testing.assert_close(found, expected)


def test_an_unsure_label_costs_nothing() -> None:
    logits = torch.full((1, 2), 4.0, requires_grad=True)
    none = torch.zeros(1, 2, dtype=torch.bool)

    asymmetric(logits, none, torch.tensor([[True, False]])).backward()  # type: ignore[no-untyped-call]  # torch

    assert logits.grad is not None
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0


def test_similarities_lost_are_none_where_nothing_changed_and_grow_with_the_change() -> None:
    before = torch.randn(4, 6, generator=torch.Generator().manual_seed(4))
    change = torch.randn(4, 6, generator=torch.Generator().manual_seed(5))

    losses = [similarities_lost(before, before + share * change).item() for share in (0.0, 0.3, 1.0)]

    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses[0] < losses[1] < losses[2]

"""Losses of the recipe of mini, against their formulas."""

from __future__ import annotations

import pytest
import scipy.optimize
import torch

from indexer.training.losses import sigmoid
from recipes.mini.objective import (
    asymmetric,
    both_ways,
    multi_positive_info_nce,
    sigmoid_both_ways,
    similarities_lost,
)


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


def test_the_sigmoid_loss_is_that_of_siglip_with_the_bias_that_expects_as_many_right_pairs_as_there_are() -> (
    None
):
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(8)).mul(5).double()
    positive = torch.zeros(4, 6, dtype=torch.bool)
    positive[range(4), range(4)] = True

    found = sigmoid_both_ways(logits, positive, torch.zeros_like(positive))

    bias = scipy.optimize.brentq(lambda bias: torch.sigmoid(logits + bias).sum().item() - 4, -50, 50)
    one = torch.tensor(1.0, dtype=torch.float64)
    scores, biased = torch.eye(4, dtype=torch.float64), torch.tensor(bias, dtype=torch.float64)
    torch.testing.assert_close(found, sigmoid(scores, logits.T.contiguous(), positive, one, biased))


def test_pairs_that_may_be_right_count_nothing_in_the_sigmoid_loss() -> None:
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(9)).requires_grad_()
    positive = torch.eye(3, 5, dtype=torch.bool)
    unknown = torch.zeros_like(positive)
    unknown[1, 4] = True

    loss = sigmoid_both_ways(logits, positive, unknown)
    loss.backward()  # type: ignore[no-untyped-call]  # torch

    changed = logits.detach().clone()
    changed[1, 4] += 7
    assert sigmoid_both_ways(changed, positive, unknown) == loss
    assert logits.grad is not None
    assert not logits.grad[unknown].any()
    assert logits.grad[~unknown].all()

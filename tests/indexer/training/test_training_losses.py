"""Each loss against a pencil, and against an independent implementation written as the paper writes it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from indexer.training.losses import distillation, hard_triplet, info_nce, sigmoid

ONE = torch.tensor(1.0)
CAPTIONED_TWICE = torch.tensor([[True, True, False], [False, False, True]])


def unit(rows: int, dimension: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(rows, dimension, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=1)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, texts, and links: each text describes one picture or more, and each picture has a text."""
    count, extra, seed = draw(st.integers(1, 6)), draw(st.integers(0, 4)), draw(st.integers(0, 10**6))
    positives = torch.cat(
        [torch.eye(count, dtype=torch.bool), torch.zeros(count, extra, dtype=torch.bool)], 1
    )
    for text in range(count, count + extra):
        positives[draw(st.integers(0, count - 1)), text] = True
    for _ in range(draw(st.integers(0, 3))):  # equal pictures, or a caption that fits two
        positives[draw(st.integers(0, count - 1)), draw(st.integers(0, count + extra - 1))] = True
    return unit(count, 5, seed), unit(count + extra, 5, seed + 1), positives


def naive_info_nce(images: Tensor, texts: Tensor, positives: Tensor, scale: float) -> float:
    def one_way(queries: list[list[float]], items: list[list[float]], linked: list[list[bool]]) -> float:
        total = 0.0
        for query, own in zip(queries, linked, strict=True):
            weight = [
                math.exp(scale * sum(a * b for a, b in zip(query, item, strict=True))) for item in items
            ]
            foreign = sum(w for w, is_own in zip(weight, own, strict=True) if not is_own)
            terms = [-math.log(w / (w + foreign)) for w, is_own in zip(weight, own, strict=True) if is_own]
            total += sum(terms) / len(terms)
        return total / len(queries)

    forth = one_way(images.tolist(), texts.tolist(), positives.tolist())
    back = one_way(texts.tolist(), images.tolist(), positives.T.tolist())
    return (forth + back) / 2


def naive_sigmoid(images: Tensor, texts: Tensor, positives: Tensor, scale: float, bias: float) -> float:
    total = 0.0
    for i, image in enumerate(images.tolist()):
        for t, text in enumerate(texts.tolist()):
            logit = scale * sum(a * b for a, b in zip(image, text, strict=True)) + bias
            z = 1 if positives[i, t] else -1
            total += math.log(1 / (1 + math.exp(-z * logit)))
    return -total / len(images)


def naive_hard_triplet(images: Tensor, texts: Tensor, positives: Tensor, margin: float) -> float:
    s: list[list[float]] = (images @ texts.T).tolist()
    terms: list[float] = []
    for i in range(len(images)):
        for t in range(len(texts)):
            if not positives[i, t]:
                continue
            other_texts = [s[i][u] for u in range(len(texts)) if not positives[i, u]]
            other_images = [s[j][t] for j in range(len(images)) if not positives[j, t]]
            costs = [max(0.0, margin + max(side) - s[i][t]) for side in (other_texts, other_images) if side]
            terms.append(sum(costs))
    return sum(terms) / len(terms)


def test_info_nce_of_two_pairs_is_what_a_pencil_gives() -> None:
    loss = info_nce(torch.eye(2), torch.eye(2), torch.eye(2, dtype=torch.bool), torch.tensor(2.0))

    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-6)


def test_info_nce_with_one_positive_a_row_equals_torch_cross_entropy() -> None:
    images, texts = unit(7, 5, 0), unit(7, 5, 1)
    logits, target = 9 * images @ texts.T, torch.arange(7)
    cross = torch.nn.functional.cross_entropy

    loss = info_nce(images, texts, torch.eye(7, dtype=torch.bool), torch.tensor(9.0))

    assert loss.item() == pytest.approx(((cross(logits, target) + cross(logits.T, target)) / 2).item())


@pytest.mark.parametrize("loss", ["info_nce", "sigmoid", "triplet"])
def test_two_captions_of_one_picture_are_not_each_others_negatives(loss: str) -> None:
    images, texts = torch.eye(2), torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0]])

    def value(positives: Tensor) -> float:
        if loss == "info_nce":
            return info_nce(images, texts, positives, torch.tensor(5.0)).item()
        if loss == "sigmoid":
            return sigmoid(images, texts, positives, torch.tensor(5.0), torch.tensor(-2.5)).item()
        return hard_triplet(images, texts, positives, 0.2).item()

    by_position = torch.tensor([[True, False, False], [False, True, True]])
    assert value(CAPTIONED_TWICE) < value(by_position) - 0.1


def test_info_nce_sets_each_of_two_captions_against_the_negatives_alone() -> None:
    images, texts = torch.eye(2), torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0]])

    loss = info_nce(images, texts, CAPTIONED_TWICE, ONE)

    first, second = math.log(1 + math.exp(-1)), math.log(1 + 2 * math.exp(-1))
    assert loss.item() == pytest.approx(((first + second) / 2 + first) / 2, abs=1e-6)


@given(batch=batches(), scale=st.floats(0.5, 20))
def test_info_nce_equals_the_formula_written_out(batch: tuple[Tensor, Tensor, Tensor], scale: float) -> None:
    loss = info_nce(*batch, torch.tensor(scale, dtype=torch.float64))

    assert loss.item() == pytest.approx(naive_info_nce(*batch, scale), abs=1e-9)


def test_info_nce_of_a_batch_without_negatives_is_nought_and_so_is_its_gradient() -> None:
    images, texts = unit(2, 3, 0).requires_grad_(), unit(2, 3, 1).requires_grad_()

    loss = info_nce(images, texts, torch.ones(2, 2, dtype=torch.bool), torch.tensor(10.0))
    loss.backward()  # type: ignore[no-untyped-call]

    assert loss.item() == 0
    assert images.grad is not None
    assert torch.equal(images.grad, torch.zeros_like(images))


def test_sigmoid_of_one_pair_and_one_stranger_is_what_a_pencil_gives() -> None:
    images, texts = torch.tensor([[1.0, 0]]), torch.tensor([[1.0, 0], [0, 1.0]])

    loss = sigmoid(images, texts, torch.tensor([[True, False]]), torch.tensor(3.0), torch.tensor(-1.0))

    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1)), abs=1e-6)


@given(batch=batches(), scale=st.floats(0.5, 20), bias=st.floats(-12, 2))
def test_sigmoid_equals_the_formula_written_out(
    batch: tuple[Tensor, Tensor, Tensor], scale: float, bias: float
) -> None:
    as_tensor = [torch.tensor(value, dtype=torch.float64) for value in (scale, bias)]

    assert sigmoid(*batch, *as_tensor).item() == pytest.approx(naive_sigmoid(*batch, scale, bias), abs=1e-9)


def test_hard_triplet_of_two_pairs_is_what_a_pencil_gives() -> None:
    texts = torch.tensor([[1.0, 0], [0.6, 0.8]])

    loss = hard_triplet(torch.eye(2), texts, torch.eye(2, dtype=torch.bool), 0.2)

    # scores [[1, .6], [0, .8]]; pair 0: 0 + 0, pair 1: the text's other picture scores .6: 0 + (.2 + .6 - .8)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    loss = hard_triplet(torch.eye(2), texts, torch.eye(2, dtype=torch.bool), 0.5)
    assert loss.item() == pytest.approx((0.1 + 0.3) / 2, abs=1e-6)


@given(batch=batches(), margin=st.floats(0, 0.9))
def test_hard_triplet_equals_the_formula_written_out(
    batch: tuple[Tensor, Tensor, Tensor], margin: float
) -> None:
    assert hard_triplet(*batch, margin).item() == pytest.approx(naive_hard_triplet(*batch, margin), abs=1e-9)


@pytest.mark.parametrize("loss", ["info_nce", "sigmoid", "triplet"])
@given(batch=batches())
@settings(max_examples=30)
def test_every_loss_has_a_finite_gradient_whatever_is_linked(
    loss: str, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    images, texts, positives = batch[0].requires_grad_(), batch[1].requires_grad_(), batch[2]
    value = {
        "info_nce": lambda: info_nce(images, texts, positives, torch.tensor(100.0)),
        "sigmoid": lambda: sigmoid(images, texts, positives, torch.tensor(100.0), torch.tensor(-10.0)),
        "triplet": lambda: hard_triplet(images, texts, positives, 0.2),
    }[loss]()

    value.backward()  # type: ignore[no-untyped-call]

    assert images.grad is not None
    assert torch.isfinite(images.grad).all()
    assert value >= 0


def test_distillation_is_nought_for_equal_directions_and_one_for_right_angles() -> None:
    assert distillation(torch.tensor([[2.0, 0]]), torch.tensor([[1.0, 0]])).item() == pytest.approx(0)
    assert distillation(torch.tensor([[2.0, 0]]), torch.tensor([[0, 1.0]])).item() == pytest.approx(1)
    both = distillation(torch.eye(2), torch.tensor([[1.0, 0], [1.0, 0]]))
    assert both.item() == pytest.approx(0.5)

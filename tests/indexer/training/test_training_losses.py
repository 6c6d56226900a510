import math

import pytest
import torch

from indexer.training.losses import distillation, info_nce
from indexer.training.schedule import warmup_cosine


def test_info_nce_of_two_pairs_is_what_a_pencil_gives():
    images = torch.eye(2)
    loss = info_nce(images, torch.eye(2), torch.eye(2, dtype=torch.bool), torch.tensor(2.0))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-6)


def test_info_nce_with_one_positive_a_row_equals_torch_cross_entropy():
    torch.manual_seed(0)
    images = torch.nn.functional.normalize(torch.randn(7, 5), dim=1)
    texts = torch.nn.functional.normalize(torch.randn(7, 5), dim=1)
    logits, target = 9 * images @ texts.T, torch.arange(7)
    cross = torch.nn.functional.cross_entropy
    expected = (cross(logits, target) + cross(logits.T, target)) / 2
    loss = info_nce(images, texts, torch.eye(7, dtype=torch.bool), torch.tensor(9.0))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_two_captions_of_one_picture_are_not_each_others_negatives():
    images = torch.eye(2)
    texts = torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0]])
    positives = torch.tensor([[True, True, False], [False, False, True]])
    loss = info_nce(images, texts, positives, torch.tensor(1.0))
    first, second = math.log(1 + math.exp(-1)), math.log(1 + 2 * math.exp(-1))
    assert loss.item() == pytest.approx(((first + second) / 2 + first) / 2, abs=1e-6)


def test_distillation_is_nought_for_equal_directions_and_one_for_right_angles():
    assert distillation(torch.tensor([[2.0, 0]]), torch.tensor([[1.0, 0]])).item() == pytest.approx(0)
    assert distillation(torch.tensor([[2.0, 0]]), torch.tensor([[0, 1.0]])).item() == pytest.approx(1)


def test_the_rate_rises_to_its_peak_and_falls_to_nought():
    assert [warmup_cosine(s, 2, 10) for s in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert warmup_cosine(6, 2, 10) == pytest.approx(0.5)
    assert warmup_cosine(10, 2, 10) == pytest.approx(0)

"""The last stage of mini's recipe: where texts and photographs are to go, and that they go there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from recipes.mini import names
from recipes.mini.caption_words import CaptionWords, caption_words
from recipes.mini.heads import bags, text_rows
from recipes.mini.names import read_class_labels
from recipes.mini.photographs import Photograph
from recipes.mini.refit_stage import RefitPlan, Wishes, class_rows, fit_texts, probes, refit_images
from recipes.mini.start import weights_of
from recipes.mini.texts import TextEncoder
from recipes.mini.vocabulary import Vocabulary, is_chinese
from recipes.mini.wishes import Pictured, Rows, make_wishes
from retrieval.encoders.two_tower.model import TwoTowerModel
from tests.recipes.noise_photographs import NAMES
from tests.recipes.random_lessons import LABELS, lessons

CLASS_LABELS = Path(names.__file__).with_name("class_labels.tsv")


def test_a_probe_is_the_direction_that_tells_right_photographs_from_others() -> None:
    images = torch.randn(200, 8, generator=torch.Generator().manual_seed(8))
    right = torch.stack([images[:, 3] > 0, images[:, 5] < 0], 1)
    unsure = torch.zeros_like(right)
    unsure[:20] = True
    images[:20, 3] *= -1  # what is unsure says nothing

    told = probes(images, right & ~unsure, unsure, 0.01)

    assert told[0].abs().argmax() == 3
    assert told[0, 3] > 0.9
    assert told[1, 5] < -0.9


def test_fitted_texts_go_where_they_are_to_go_and_the_others_stay(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    given = bags(encoder, ["two people", "a red bus", "一只狗", "a cat", "people ride", "and"])
    before = weights_of(model)
    with torch.no_grad():
        now = text_rows(model, given)
    wishes, wanted = Wishes.staying(now), torch.nn.functional.normalize(now[:2] + 0.3 * now[3:5], dim=1)
    wishes.add([2, 3, 4], now[2:5], 1.0)
    wishes.add([0, 1], wanted, 5.0)

    after = fit_texts(model, given, wishes, RefitPlan(texts=64, text_steps=300, text_rate=3e-3))

    assert all(torch.equal(value, before[name]) for name, value in weights_of(model).items())
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    layers = ("text.expand", "text.reduce", "text.norm", "text_projection")
    assert changed == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    model.load_state_dict(after)
    with torch.no_grad():
        found = text_rows(model, given)
    torch.testing.assert_close(found[:2], wanted, atol=0.02, rtol=0)
    torch.testing.assert_close(found[2:5], now[2:5], atol=0.02, rtol=0)


def test_refitted_photographs_go_back_to_the_start_and_the_others_stay(model: TwoTowerModel) -> None:
    start = weights_of(model)
    features = torch.rand(6, 2560, generator=torch.Generator().manual_seed(9))
    matrix = start["image_projection.weight"]
    moved = {**start, "image_projection.weight": matrix + 0.1 * torch.randn_like(matrix)}
    moved["image_projection.weight"][8:] = matrix[8:]
    first = model.project_image(features)
    model.load_state_dict(moved)
    then = model.project_image(features)

    after = refit_images(moved, start, 8, features[:3], features[3:], RefitPlan(image_ridge=1e-6))

    model.load_state_dict(after)
    torch.testing.assert_close(model.project_image(features)[:3], then[:3], atol=1e-3, rtol=0)
    torch.testing.assert_close(model.project_image(features)[3:], first[3:], atol=1e-3, rtol=0)
    changed = {name for name, value in moved.items() if not torch.equal(value, after[name])}
    assert changed == {"image_projection.weight", "image_projection.bias"}
    assert torch.equal(after["image_projection.weight"][8:], matrix[8:])


def test_captions_are_to_stay_and_short_queries_to_find_their_photographs(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    taught = lessons(model, encoder)
    spoken, plan = taught.spoken, RefitPlan()
    rows = Rows(taught.place, taught.start.texts.float(), taught.start.texts.float().flip(1))
    words = CaptionWords(["grass", "狗"], torch.eye(6).bool()[:, :2], torch.zeros(6, 2).bool())
    pictured = Pictured(
        taught.start.captioned,
        words,
        taught.start.labelled,
        taught.labels,
        taught.start.classes,
        ["camera"] * 3 + ["stapler"] * 3,
    )

    wishes = make_wishes(
        spoken, rows, pictured, NAMES, Vocabulary.of_imagenet(), taught.places, [*LABELS], plan
    )

    captions = rows.at([text for own in spoken.captions for language in own for text in language])
    torch.testing.assert_close(wishes.rows[captions], rows.now[captions], atol=1e-3, rtol=0)
    assert wishes.weights[captions].eq(plan.captions).all()
    told = probes(pictured.captioned, words.right, words.unsure, plan.probe_ridge)
    [grass] = rows.at(["a photo of a grass"])
    expected = 0.8 * rows.start[grass] + 0.2 * rows.now[grass] + plan.words_told * told[0]
    torch.testing.assert_close(
        wishes.rows[grass], torch.nn.functional.normalize(expected, dim=0), atol=1e-3, rtol=0
    )
    tench, kind = rows.at(["tench"])[0], _class_of("tench")
    gains = {True: plan.class_gain, False: 1.0}
    [placed] = class_rows(rows.start[[tench]], [frozenset({kind})], taught.places, gains, plan.few)
    wanted = (rows.now[tench] + placed) * torch.tensor(8 * [plan.class_own] + 8 * [1.0])
    torch.testing.assert_close(
        wishes.rows[tench], torch.nn.functional.normalize(wanted, dim=0), atol=1e-3, rtol=0
    )
    [banana] = rows.at(["banana"])
    class_part = wishes.rows[banana, 8:] @ taught.places[_class_of("banana")]
    assert class_part > rows.now[banana, 8:] @ taught.places[_class_of("banana")]
    assert wishes.weights[rows.at(["camera", "订书机"])].eq(plan.labels).all()


def _class_of(name: str) -> int:
    [index] = Vocabulary.of_imagenet().meanings[name]
    return index


def test_words_of_captions_are_right_where_two_captions_have_them() -> None:
    scenes = [
        (("Two dogs run", "a dog", "a boat"), ("狗 在 跑", "一只 狗", "船")),
        (("a dog sleeps", "grass", "boats"), ("狗 睡", "草地", "小船")),
        (("grass", "a field", "a boat"), ("草地", "草地", "海")),
    ]
    photographs = [Photograph(b"", *captions) for captions in 30 * scenes + 30 * [((), ())] * 3]
    tokenizer = Tokenizer(WordLevel({"狗": 0, "船": 1, "小船": 2, "草地": 3, "?": 4}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()

    found = caption_words(photographs, tokenizer)

    assert found.words == ["dog", "狗", "草地"]  # a boat is in one caption of each at most
    assert found.right[:3].tolist() == [[True, True, False], [False, False, False], [False, False, True]]
    assert found.unsure[:3].tolist() == [[False, False, False], [True, True, True], [False, False, False]]
    assert found.forms()[:2] == [("dog", "a dog", "a photo of a dog"), ("狗", "狗的照片")]


def test_every_second_label_may_be_trained_on_and_labels_of_other_photographs_are_refused() -> None:
    known = [line.split("\t")[0] for line in CLASS_LABELS.read_text(encoding="utf-8").splitlines()]
    between = [f"{label}~" for label in known]

    found = read_class_labels([*known, *between])

    assert [*found] == sorted(known)
    assert all(is_chinese(name) for name in found.values())
    with pytest.raises(ValueError, match="zebra"):
        read_class_labels([*known, *between, "zebra", "zoo"])

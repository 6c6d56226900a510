"""The recipe of mini: what its parts promise, on networks with random weights and pictures made here."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recipes.mini import fast_stages
from recipes.mini.figures import average_precision, one_a_class
from recipes.mini.frozen import compute, torch_forward, tuned_stages
from recipes.mini.heads import bags, text_rows
from recipes.mini.heads_stage import (
    HeadsPlan,
    Lessons,
    draw_batch,
    space,
    step_terms,
    train_heads,
    with_classes_placed,
)
from recipes.mini.image_stage import rows_of_step
from recipes.mini.interpolation import interpolate, interpolate_towers, mean
from recipes.mini.names import Names
from recipes.mini.objective import asymmetric, both_ways, multi_positive_info_nce, similarities_lost
from recipes.mini.output_folder import SettingsError, claim
from recipes.mini.photographs import Photograph, is_kept_out, random_view
from recipes.mini.settings import Settings
from recipes.mini.spoken import choose_texts
from recipes.mini.start import export, load_start, weights_of
from recipes.mini.texts import NameScores, TextEncoder, draw_texts, guess_captions, present
from recipes.mini.vocabulary import Vocabulary
from retrieval.encoders.two_tower.config import ImageConfig, TextConfig, TwoTowerConfig
from retrieval.encoders.two_tower.folder import save
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.tokenization import train_tokenizer
from retrieval.hub.tokenizer_files import load_tokenizer

ROOT = Path(__file__).resolve().parents[2]
SIZE = 64
NAMES = Names.read()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of mini's layout with random weights."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["a dog and a cat", "two people ride a red bus", "一只狗"], 60)
    image = ImageConfig(
        "efficientnet_lite2", SIZE, (0.5,) * 3, (0.5,) * 3, tf_padding=True, kept_from=6, aspect=1.3
    )
    text = TextConfig("bag", tokenizer.get_vocab_size(), 16, 32, attention_layers=1, attention_width=8)
    model = TwoTowerModel(TwoTowerConfig(16, image, text, (8, 8)))
    folder = tmp_path_factory.mktemp("start")
    save(folder, model, tokenizer)
    return folder


@pytest.fixture
def model(start: Path) -> TwoTowerModel:
    return load_start(start, SIZE).requires_grad_(False)


def picture(seed: int, captions: tuple[str, ...] = (), labels: tuple[str, ...] = ()) -> Photograph:
    noise = np.random.default_rng(seed).integers(0, 256, (40, 52, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return Photograph(file.getvalue(), captions, captions, labels)


# --- losses


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


# --- names


def test_there_are_80_names_each_with_all_that_is_needed() -> None:
    assert len(NAMES.place) == 80
    for name in NAMES.all:
        assert name.label
        assert name.chinese
        assert name.mentions
        assert name.measure


@pytest.mark.parametrize(
    ("caption", "labels"),
    [
        ("A teddy bear on a bed.", {"teddy bear", "bed"}),
        ("A brown bear and a teddy bear.", {"teddy bear", "bear"}),
        ("A hot dog next to a cup", {"hot dog", "cup"}),
        ("A carpet.", set()),
        ("Two men ride motorbikes", {"person", "motorcycle"}),
    ],
)
def test_captions_mention_whole_words(caption: str, labels: set[str]) -> None:
    assert NAMES.mentioned(caption) == labels


@pytest.mark.parametrize("language", ["en", "zh"])
def test_composed_captions_name_what_they_say_they_name(language: str) -> None:
    labels = ["cat", "couch", "umbrella", "scissors"]
    rng = random.Random(0)

    for _ in range(40):
        text, named = NAMES.compose(labels, rng, language)
        assert named <= set(labels)
        for label in labels:
            name = label if language == "en" else NAMES.all[NAMES.place[label]].chinese[0]
            assert (name in text) == (label in named)


def test_pseudo_captions_mention_nothing_that_the_labels_do_not_say() -> None:
    photographs = [picture(0, labels=("dog", "couch")), picture(1, labels=("bus",))]
    captions = ["a dog on a couch", "a dog and a cat", "a red bus", "a cat", "blue sky"]

    found = guess_captions(
        photographs, np.eye(2, 4, dtype=np.float32), captions, np.ones((5, 4), np.float32), NAMES
    )

    assert [text for text, _ in found[0]] == ["a dog on a couch"]
    assert [text for text, _ in found[1]] == ["a red bus"]


def test_a_text_is_no_negative_of_a_photograph_that_has_what_it_names() -> None:
    batch = [picture(0, labels=("dog",)), picture(1, labels=("dog", "cat")), picture(2, ("a man",))]

    drawn = draw_texts(batch, [(), (), ()], NAMES, random.Random(0))
    positive, unknown = drawn.relation(batch)

    assert positive.sum(0).tolist() == [1] * len(drawn.texts)
    for column, (owner, named) in enumerate(zip(drawn.owners, drawn.labels, strict=True)):
        assert positive[owner, column]
        if named is not None:
            assert unknown[1, column] == (
                owner != 1
            )  # the photograph with both has whatever the other's text names
            assert unknown[2, column]  # nothing is known of what else a captioned photograph shows


# --- photographs


def test_about_one_in_five_labelled_photographs_is_kept_out() -> None:
    kept = sum(is_kept_out(coco_id) for coco_id in range(5000))

    assert 900 < kept < 1100


def test_a_view_depends_on_its_seed_alone() -> None:
    one, again, other = (random_view(picture(0), 32, random.Random(seed)) for seed in (1, 1, 2))

    assert one.shape == (32, 32, 3)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_a_photograph_whose_caption_names_a_side_is_not_mirrored() -> None:
    assert not picture(0, ("a dog on the left",)).may_be_mirrored
    assert not picture(0, ("狗在右边",)).may_be_mirrored
    assert picture(0, ("a dog",)).may_be_mirrored


# --- the image tower


def test_frozen_part_and_tuned_stages_are_the_image_tower(model: TwoTowerModel, tmp_path: Path) -> None:
    photographs = [picture(seed) for seed in range(3)]
    compute(photographs, "some", 0, model, torch_forward(model), tmp_path)
    places, kept = (np.load(tmp_path / f"some-0.{name}.npy") for name in ("places", "kept"))
    pixels = torch.from_numpy(views(photographs, model)).permute(0, 3, 1, 2)

    expected = model.image_features(pixels)

    tuned = tuned_stages(model)(torch.from_numpy(places).float().permute(0, 3, 1, 2)).mean((2, 3))
    found = torch.cat([tuned, torch.from_numpy(kept).float()], 1)
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-3)


def views(photographs: list[Photograph], model: TwoTowerModel) -> NDArray[np.uint8]:
    from recipes.mini.photographs import plain_view

    return np.stack([plain_view(one, model.config.image) for one in photographs])


def test_fast_stages_compute_what_the_stages_do(model: TwoTowerModel) -> None:
    stages = tuned_stages(model).requires_grad_(True)
    fast_stages.fix_depthwise(stages)
    places = 2 * torch.rand(4, 4, 4, 208, generator=torch.Generator().manual_seed(0))
    direction = torch.randn(4, 1280, generator=torch.Generator().manual_seed(1))

    plain = stages(places.permute(0, 3, 1, 2)).mean((2, 3))
    expected = gradients(stages, (plain * direction).sum())
    fast = fast_stages.forward(stages, places)
    found = gradients(stages, (fast * direction).sum())

    assert torch.nn.functional.cosine_similarity(plain, fast).min() > 0.99
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.nn.functional.cosine_similarity(found[name].flatten(), value.flatten(), dim=0) > 0.9, (
            name
        )


def gradients(stages: torch.nn.Module, loss: Tensor) -> dict[str, Tensor]:
    learned = {name: value for name, value in stages.named_parameters() if value.requires_grad}
    return dict(zip(learned, torch.autograd.grad(loss, list(learned.values())), strict=True))


def test_depthwise_kernels_do_not_learn(model: TwoTowerModel) -> None:
    stages = tuned_stages(model).requires_grad_(True)

    fast_stages.fix_depthwise(stages)

    convolutions = [module for module in stages.modules() if isinstance(module, torch.nn.Conv2d)]
    assert {conv.groups > 1 for conv in convolutions} == {True, False}
    for conv in convolutions:
        assert conv.weight.requires_grad == (conv.groups == 1)


def test_an_exported_model_is_the_trained_one(model: TwoTowerModel, start: Path, tmp_path: Path) -> None:
    pixels = torch.from_numpy(views([picture(0), picture(1)], model)).permute(0, 3, 1, 2)

    export(model, start, tmp_path / "model")
    again = load_start(tmp_path / "model", SIZE)

    with torch.no_grad():
        agreement = (model.encode_images(pixels) * again.encode_images(pixels)).sum(1)
    assert agreement.min() > 0.999


# --- training


FEW = HeadsPlan(steps=3, captioned=4, asked=3, labelled=4, described=3, plain=2, classes=2, words=2, shown=3)


def lessons(model: TwoTowerModel, encoder: TextEncoder, count: int = 6) -> Lessons:
    captioned = [picture(row, (f"a dog {row}", f"two people {row}")) for row in range(count)]
    labelled = [picture(row, labels=(NAMES.all[row].label,)) for row in range(count)]
    captions = ["blue sky", "a red bus", "people"]
    spoken = choose_texts(
        captioned, labelled, [()] * count, captions, NAMES, Vocabulary.of_imagenet(), encoder.tokenizer
    )
    given = bags(encoder, spoken.every())
    views = [
        torch.rand(count, 2560, generator=torch.Generator().manual_seed(seed)).half() for seed in range(3)
    ]
    places = torch.nn.functional.normalize(torch.randn(1000, 8, generator=torch.Generator().manual_seed(6)))
    before = space(model, given, *views)
    return Lessons(spoken, given, views[:1], views[1:2], present(labelled, NAMES), places, before)


@pytest.fixture
def encoder(model: TwoTowerModel, start: Path) -> TextEncoder:
    return TextEncoder(model, load_tokenizer(start / "tokenizer.json"))


def test_bags_and_the_heads_after_them_are_the_text_tower(model: TwoTowerModel, encoder: TextEncoder) -> None:
    texts = ["two people ride a red bus", "一只狗", "a dog"]

    with torch.no_grad():
        found = text_rows(model, bags(encoder, texts))

    torch.testing.assert_close(found, encoder.encode(texts).detach(), rtol=1e-3, atol=1e-3)


def test_only_the_heads_learn_and_the_class_part_of_the_image_projection_stays(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    before = weights_of(model)

    after = train_heads(model, lessons(model, encoder), NAMES, FEW, 0, lambda **_: None)

    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    image = {"image_projection.weight", "image_projection.bias"}
    heads = ("text.expand.", "text.reduce.", "text.norm.", "text_projection.")
    assert image < changed
    assert all(name in image or name.startswith(heads) for name in changed)
    assert not torch.equal(after["image_projection.weight"][:8], before["image_projection.weight"][:8])
    for name in image:
        assert torch.equal(after[name][8:], before[name][8:])


def test_training_the_heads_leaves_the_model_as_it_was_and_comes_out_the_same_again(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    before, taught = weights_of(model), lessons(model, encoder)

    one, again, other = (train_heads(model, taught, NAMES, FEW, seed, lambda **_: None) for seed in (0, 0, 1))

    for name, value in weights_of(model).items():
        assert torch.equal(value, before[name]), name
        assert torch.equal(one[name], again[name]), name
    assert not torch.equal(one["text_projection.weight"], other["text_projection.weight"])
    assert not any(value.requires_grad for value in model.parameters())


def test_no_term_of_what_is_kept_costs_anything_at_the_start(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    taught, plan = lessons(model, encoder), replace(FEW, features_dropped=0.0)
    batch = draw_batch(taught, plan, random.Random(0))
    scale = torch.tensor(taught.start.scale)

    with torch.no_grad():
        terms = step_terms(model, NameScores(len(NAMES.all)), scale, taught, NAMES, plan, batch)

    for name in ("captions_kept", "classes_kept", "texts_kept", "images_kept"):
        assert terms[name] == pytest.approx(0, abs=1e-4), name
    for name in ("names", "captions", "described"):
        assert terms[name] > 0.01, name


def test_class_names_are_placed_where_their_classes_are_and_other_texts_stay(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    before = lessons(model, encoder).start
    places = torch.nn.functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(7)))

    rows = with_classes_placed(before, [1, 3], [frozenset({2}), frozenset({0, 4})], places, 2.0).texts.float()

    was, same = before.texts.float(), torch.nn.functional.cosine_similarity
    assert torch.equal(rows[[0, 2]], was[[0, 2]])
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)), rtol=1e-3, atol=1e-3)
    assert same(rows[:, :8], was[:, :8]).min() > 0.999
    assert same(rows[1, 8:], places[2], dim=0) > 0.999
    assert same(rows[3, 8:], places[0] + places[4], dim=0) > 0.999
    for row, gain in ((1, 2.0), (3, 1.0)):  # a name of several classes finds none by its class part alone
        grown = (rows[row, 8:].norm() / rows[row, :8].norm()).item()
        expected = gain * (was[row, 8:].norm() / was[row, :8].norm()).item()
        assert grown == pytest.approx(expected, rel=1e-2)


def test_a_batch_gives_each_text_to_the_photograph_that_it_describes(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    taught = lessons(model, encoder)
    every = taught.spoken.every()

    batch = draw_batch(taught, FEW, random.Random(3))

    for text, owner in zip(batch.captions, batch.owners, strict=True):
        assert every[text] in [one for own in taught.spoken.captions[batch.captioned[owner]] for one in own]
    for text, owner, named in zip(*batch.described, strict=True):
        assert (every[text], named) in taught.spoken.described[batch.labelled[owner]]


def test_no_text_that_is_to_stay_is_a_name_that_moves(model: TwoTowerModel, encoder: TextEncoder) -> None:
    spoken = lessons(model, encoder).spoken
    moving = {name.lower() for one in NAMES.all for name in (one.label, *one.english, *one.chinese)}

    assert "a red bus" not in spoken.plain
    assert not moving & {*(text for text, _ in spoken.classes), *spoken.words}
    assert {*spoken.first_classes} < {*spoken.classes}
    assert [own[0] for own in spoken.names[0]] == [one.label for one in NAMES.all]
    assert [own[0] for own in spoken.names[1]] == [one.chinese[0] for one in NAMES.all]


def test_of_each_class_the_surest_photograph_is_chosen() -> None:
    logits = np.array([[5, 0, 0], [9, 0, 0], [0, 0.1, 0.2], [0, 0, 7]], np.float32)

    assert one_a_class(logits) == {0: 1, 2: 3}


def test_every_photograph_is_seen_once_an_epoch() -> None:
    epoch = [row for step in range(4) for row in rows_of_step(12, 3, step, seed=0)]

    assert sorted(epoch) == list(range(12))


# --- weights and figures


def test_interpolation_ends_at_both_models() -> None:
    start, end = {"w": torch.zeros(3), "n": torch.tensor(1)}, {"w": torch.ones(3), "n": torch.tensor(2)}

    assert interpolate(start, end, 0.0)["w"].tolist() == [0] * 3
    assert interpolate(start, end, 1.0)["w"].tolist() == [1] * 3
    assert interpolate(start, end, 0.25)["n"] == 1
    assert mean([start, end])["w"].tolist() == [0.5] * 3


def test_each_tower_goes_its_own_share_of_the_way() -> None:
    names = ("image.features", "image_projection.weight", "text.vectors", "text_projection.weight")
    start, end = ({name: torch.full((2,), value) for name in names} for value in (0.0, 1.0))

    found = interpolate_towers(start, end, images=0.25, texts=0.5)

    assert [found[name][0].item() for name in names] == [0.25, 0.25, 0.5, 0.5]


def test_average_precision_is_the_mean_of_precisions_at_right_items() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.1], np.float32)

    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)


# --- the output folder


def test_an_output_folder_made_with_another_size_is_refused(start: Path, tmp_path: Path) -> None:
    claim(tmp_path / "out", Settings().facts(start))
    claim(tmp_path / "out", Settings().facts(start))

    with pytest.raises(SettingsError, match="made with another size"):
        claim(tmp_path / "out", replace(Settings(), size=288).facts(start))
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["size"] == Settings().size


def test_an_output_folder_made_from_another_start_is_refused(start: Path, tmp_path: Path) -> None:
    claim(tmp_path / "out", Settings().facts(start))
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes(b"others")

    with pytest.raises(SettingsError, match="made with another start"):
        claim(tmp_path / "out", Settings().facts(other))


def test_stages_of_unknown_settings_are_refused(start: Path, tmp_path: Path) -> None:
    (tmp_path / "images.safetensors").write_bytes(b"")

    with pytest.raises(SettingsError, match=r"no settings\.json"):
        claim(tmp_path, Settings().facts(start))


@pytest.mark.slow
def test_the_recipe_from_imagenet_says_in_one_sentence_that_a_folder_has_another_start(
    start: Path, tmp_path: Path
) -> None:
    claim(tmp_path / "out", {"size": 192, "sizes of fine-tuning": [160], "start": None})
    command = [
        sys.executable,
        "-m",
        "recipes.mini.from_imagenet.train",
        "--start",
        str(start),
        "--sizes",
        "160x1",
    ]
    for option in ("--flickr8k", "--image-weights", "--materials"):
        command += [option, str(tmp_path)]

    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, cwd=ROOT
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "made with another start;" in done.stderr
    assert done.stderr.count("\n") == 1

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

from recipes.mini import fast_stages, text_stage
from recipes.mini.figures import average_precision, mean_of_families, one_a_class
from recipes.mini.frozen import compute, torch_forward, tuned_stages
from recipes.mini.image_stage import rows_of_step
from recipes.mini.interpolation import interpolate, mean
from recipes.mini.names import Names
from recipes.mini.objective import asymmetric, both_ways, multi_positive_info_nce
from recipes.mini.output_folder import SettingsError, claim
from recipes.mini.photographs import Photograph, is_kept_out, random_view
from recipes.mini.projection_stage import ProjectionPlan, train_projection
from recipes.mini.settings import Settings
from recipes.mini.start import export, load_start, weights_of
from recipes.mini.text_stage import Lessons, TextPlan, train_text
from recipes.mini.texts import TextEncoder, draw_texts, guess_captions
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


def lessons(count: int = 6) -> Lessons:
    rng = np.random.default_rng(0)
    captioned = [picture(row, (f"a dog {row}",)) for row in range(count)]
    labelled = [picture(row, labels=(NAMES.all[row].label,)) for row in range(count)]
    features = [rng.random((count, 2560)).astype(np.float16) for _ in range(2)]
    rows = rng.normal(size=(4, 16)).astype(np.float16)
    unsure = torch.zeros(count, 80, dtype=torch.bool)
    return Lessons(captioned, features[:1], labelled, features[1:], [[]] * count, unsure, list("abcd"), rows)


PLAN = TextPlan(steps=20, captioned=3, labelled=3, kept=2, image_rate=1e-3)


@pytest.mark.slow
def test_a_stopped_text_stage_ends_with_the_same_weights(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(start, tmp_path / "whole")
    real, calls = text_stage.step_loss, 0

    def stop_in_the_middle(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 15:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(text_stage, "step_loss", stop_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        trained(start, tmp_path / "stopped")
    monkeypatch.undo()

    again = trained(start, tmp_path / "stopped")

    for name, value in whole.items():
        assert torch.equal(value, again[name]), name


def trained(start: Path, path: Path) -> dict[str, Tensor]:
    model = load_start(start, SIZE)
    encoder = TextEncoder(model, load_tokenizer(start / "tokenizer.json"))
    train_text(encoder, lessons(), NAMES, PLAN, path, lambda **_: None)
    return weights_of(model)


@pytest.mark.slow
def test_the_text_stage_leaves_the_class_part_and_the_image_tower_alone(start: Path, tmp_path: Path) -> None:
    before, after = weights_of(load_start(start, SIZE)), trained(start, tmp_path / "stage")

    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    learned, fixed = after["image_projection.weight"][:8], after["image_projection.weight"][8:]
    assert not [name for name in changed if name.startswith("image.")]
    assert not torch.equal(learned, before["image_projection.weight"][:8])
    assert torch.equal(fixed, before["image_projection.weight"][8:])
    assert "text.vectors.weight" in changed


def test_the_projection_stage_changes_the_learned_part_of_the_projection_alone(start: Path) -> None:
    model = load_start(start, SIZE)
    before, encoder = weights_of(model), TextEncoder(model, load_tokenizer(start / "tokenizer.json"))
    plan = ProjectionPlan(steps=4, captioned=4, labelled=4)

    train_projection(encoder, lessons(), NAMES, plan, lambda **_: None)

    after = weights_of(model)
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"image_projection.weight", "image_projection.bias"}
    assert torch.equal(after["image_projection.weight"][8:], before["image_projection.weight"][8:])
    assert torch.equal(after["image_projection.bias"][8:], before["image_projection.bias"][8:])


def test_families_of_figures_count_alike() -> None:
    figures = {"names_map_en": 50.0, "names_map_zh": 60.0, "val_en_t2i_r1": 30.0, "val_en_t2i_r5": 60.0}

    assert mean_of_families(figures) == pytest.approx((55 + 45) / 2)


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

"""Hub checkpoints of every family are fine-tuned, whole or through adapters, and load again as what they became."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from indexer.training.batches import steps_an_epoch
from indexer.training.gradient_cache import Encode, Loss, cached_backward, plain_backward
from indexer.training.loop import Data, RunObserver, Saving, fit
from indexer.training.losses import info_nce
from indexer.training.objective import Teacher
from indexer.training.recipe import Recipe
from indexer.training.record import MetricsLog
from indexer.training.trainable_hub import Lora, TrainableHub
from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.errors import MissingExtra
from tests.indexer.training.training_runs import NAMES, cached, picture
from tests.retrieval.encoders.tiny_checkpoints import BUILDERS

Backward = Callable[[Sequence[Encode], Sequence[Encode], Loss], float]

RECIPE = Recipe(
    epochs=1, steps=2, batch_size=8, image_rate=1e-2, text_rate=1e-2, head_rate=1e-2, ema=0.0, warmup=0.0
)


def checkpoint(family: str, folder: Path) -> Path:
    folder.mkdir()
    BUILDERS[family](folder)
    return folder


def tune(model: TrainableHub, out: Path, recipe: Recipe = RECIPE) -> None:
    from threading import Event

    out.mkdir()
    pictures = [model.prepare(Image.fromarray(picture(name, 40))) for name in NAMES[:16]]
    val = replace(
        cached(NAMES[:16]),
        pixels=np.concatenate([one.reshape(-1) for one in pictures]),
        starts=np.arange(16, dtype=np.int64) * pictures[0].size,
        shapes=np.tile(np.array(pictures[0].shape, np.int64), (16, 1)),
    )
    observer = RunObserver(MetricsLog(out / "metrics.jsonl"), lambda _: None, Event())
    fit(model, Data(cached(NAMES[:16]), val, Teacher()), recipe, "run", out, Saving(), observer)


def vectors(encoder: TowerEncoder) -> tuple[np.ndarray, np.ndarray]:
    return encoder.encode_images([Image.fromarray(picture(n, 40)) for n in NAMES[:4]]), encoder.encode_texts(
        ["a dog", "two cats in the snow", "red"]
    )


@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["whole", "adapters"])
def test_a_fine_tuned_checkpoint_loads_as_what_it_became(
    family: str, lora: Lora | None, tmp_path: Path
) -> None:
    source = checkpoint(family, tmp_path / "source")
    model = TrainableHub(source, family, "cpu", lora)

    tune(model, tmp_path / "run")

    model.module.eval()
    with torch.inference_mode():
        prepared = [model.prepare(Image.fromarray(picture(name, 40))) for name in NAMES[:4]]
        images = model.encode_images(torch.from_numpy(np.stack(prepared))).numpy()
        texts = model.encode_tokens(model.tokenize(["a dog", "two cats in the snow", "red"])).numpy()
    loaded_images, loaded_texts = vectors(load_hub_encoder(tmp_path / "run" / "last"))
    before_images, before_texts = vectors(load_hub_encoder(source))
    assert np.allclose(
        loaded_images, images, atol=1e-5
    )  # other batches, and merged weights, round differently
    assert np.allclose(loaded_texts, texts, atol=1e-5)
    assert not np.allclose(before_texts, texts, atol=1e-3)
    adapts_pictures = (
        lora is None or family != "align"
    )  # its image tower is convolutions, with no linear layer
    assert np.allclose(before_images, images, atol=1e-3) is not adapts_pictures


def test_adapters_are_all_that_learns_and_all_that_a_checkpoint_holds(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    source = checkpoint("clip", tmp_path / "source")
    model = TrainableHub(source, "clip", "cpu", Lora(rank=2))

    tune(model, tmp_path / "run")

    held = load_file(tmp_path / "run" / "checkpoint.safetensors")
    weights = [name for name in held if name.startswith("model.")]
    assert weights
    assert all(".lora_" in name for name in weights)


def test_the_learned_temperature_is_in_the_folder(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    source = checkpoint("siglip", tmp_path / "source")
    model = TrainableHub(source, "siglip", "cpu")
    assert model.facts.bias is not None

    tune(model, tmp_path / "run", replace(RECIPE, loss="sigmoid", scale_rate=0.1))

    after = load_file(tmp_path / "run" / "last" / "model.safetensors")
    assert after["logit_bias"].item() != pytest.approx(model.facts.bias)
    assert after["logit_scale"].item() != pytest.approx(model.facts.log_scale)


def test_gradient_caching_of_a_checkpoint_gives_the_plain_gradient(tmp_path: Path) -> None:
    model = TrainableHub(checkpoint("clip", tmp_path / "source"), "clip", "cpu")
    model.module.requires_grad_(True)
    prepared = [model.prepare(Image.fromarray(picture(name, 40))) for name in NAMES[:10]]
    pixels, ids = torch.from_numpy(np.stack(prepared)), model.tokenize(NAMES[:10])

    def gradients(backward: Backward, size: int) -> dict[str, Tensor]:
        parts = [slice(start, start + size) for start in range(0, 10, size)]
        images = [lambda part=part: model.encode_images(pixels[part]) for part in parts]
        texts = [lambda part=part: model.encode_tokens(ids[part]) for part in parts]
        model.module.zero_grad()
        backward(
            images, texts, lambda i, t: info_nce(i, t, torch.eye(10, dtype=torch.bool), torch.tensor(20.0))
        )
        named = model.module.named_parameters()
        return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}

    plain, chunked = gradients(plain_backward, 10), gradients(cached_backward, 3)

    assert len(plain) > 50
    for name, expected in plain.items():
        assert torch.allclose(chunked[name], expected, rtol=1e-3, atol=1e-5), name


def test_adapters_without_peft_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = checkpoint("clip", tmp_path / "source")
    monkeypatch.setitem(sys.modules, "peft", None)

    with pytest.raises(MissingExtra, match=r"vlsearch\[lora\]"):
        TrainableHub(source, "clip", "cpu", Lora())


def test_what_does_not_fill_a_batch_sits_an_epoch_out() -> None:
    assert [steps_an_epoch(count, 8) for count in (1, 7, 8, 15, 16)] == [1, 1, 1, 1, 2]

"""``indexer.train``: the same run from Python, and settings that are refused where they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import indexer
from indexer import Augmentation, NewTwoTower, Recipe
from indexer.training.trainable_two_tower import TrainableTwoTower, new_two_tower
from indexer.training.vocabulary import fit_tokenizer
from retrieval.encoders.two_tower import ImageConfig, TextConfig, TwoTowerConfig, TwoTowerModel
from retrieval.errors import UsageError
from retrieval.types import Progress
from tests.command_line import vlsearch
from tests.indexer.training.training_runs import NAMES, write_corpus

MODEL = NewTwoTower(image_backbone="tiny", image_size=32, text_backbone="bert", text_layers=1)
RECIPE = Recipe(epochs=1, batch_size=8)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus", NAMES[:20])


def test_a_call_and_the_command_end_with_the_same_weights_and_figures(corpus: Path, tmp_path: Path) -> None:
    trained = indexer.train(
        corpus, tmp_path / "called", model=MODEL, recipe=RECIPE, val_share=0.25, device="cpu"
    )
    done = vlsearch(
        "train", corpus, "--out", tmp_path / "typed", "--image-backbone", "tiny", "--image-size", "32",
        "--text-layers", "1", "--epochs", "1", "--batch-size", "8", "--val-share", "0.25", "--device", "cpu",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    called, typed = (load_file(tmp_path / run / "best" / "model.safetensors") for run in ("called", "typed"))
    assert all(torch.equal(called[name], typed[name]) for name in called | typed)
    assert not any(name.startswith("text.bert.encoder.layer.1.") for name in called)
    assert (trained.epoch, trained.failures, trained.interrupted) == (1, (), False)
    shown = trained.figures[""]
    assert (
        f"text to image {shown['t2i_r1']:.1f}, {shown['t2i_r5']:.1f}, {shown['t2i_r10']:.1f}" in done.stdout
    )


def test_a_model_that_was_called_for_says_so_in_its_card(corpus: Path, tmp_path: Path) -> None:
    told: list[str] = []

    indexer.train(
        corpus, tmp_path / "run", model=MODEL, recipe=RECIPE, on_progress=lambda step: told.append(step.stage)
    )

    card = (tmp_path / "run" / "best" / "README.md").read_text(encoding="utf-8")
    assert "By a call of `indexer.train`." in card
    assert {"decoding", "training"} == set(told)


def test_measuring_the_ranges_that_int8_needs_tells_of_each_photograph(corpus: Path, tmp_path: Path) -> None:
    model = replace(MODEL, image_backbone="mobilenet_v2")
    told: list[Progress] = []

    indexer.train(
        corpus, tmp_path / "run", model=model, recipe=RECIPE, val_share=0.25, on_progress=told.append
    )

    measured = [step for step in told if step.stage == "measuring activations"]
    folders = [path.parent for path in (tmp_path / "run").glob("*/int8.json")]
    assert {path.name for path in folders} == {"best", "last"}
    assert [(step.done, step.total) for step in measured] == [
        (done, 10) for done in range(1, 11)
    ]  # 5 a folder
    assert told[-1] == measured[-1]


def test_a_call_again_with_another_recipe_is_refused(corpus: Path, tmp_path: Path) -> None:
    indexer.train(corpus, tmp_path / "run", model=MODEL, recipe=RECIPE)

    with pytest.raises(indexer_error(), match=r"recipe\.seed was 0 and is 1"):
        indexer.train(corpus, tmp_path / "run", model=MODEL, recipe=Recipe(epochs=1, batch_size=8, seed=1))


def indexer_error() -> type[Exception]:
    from retrieval import TrainingError

    return TrainingError


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Recipe(epochs=0), "epochs is 0, and must be a number from 1"),
        (lambda: Recipe(batch_size=1), "batch-size is 1, and must be a number from 2"),
        (lambda: Recipe(text_rate=float("nan")), "text-rate is nan"),
        (lambda: Recipe(clip=0), "clip is 0"),
        (lambda: Recipe(ema=1.0), r"ema is 1\.0, and must be a number from 0 to 0\.9"),
        (lambda: Recipe(warmup=1.5), r"warmup is 1\.5, and must be a number from 0 to 1"),
        (lambda: Recipe(loss="mse"), "loss is 'mse', and must be one of infonce, sigmoid"),  # type: ignore[arg-type]
        (lambda: Recipe(norms="frozen"), "norms is 'frozen'"),  # type: ignore[arg-type]
        (lambda: Augmentation(area=2), "area is 2"),
        (lambda: NewTwoTower(image_backbone="vgg"), "image-backbone is 'vgg', and must be one of resnet50"),  # type: ignore[arg-type]
        (lambda: NewTwoTower(image_size=8), "image-size is 8"),
        (lambda: NewTwoTower(text_backbone="bag", text_layers=2), "--text-layers counts"),
        (lambda: NewTwoTower(text_weights=Path("bert"), text_layers=2), "--text-layers counts"),
        (lambda: indexer.train("c.csv", "run", val_share=0.9), r"val-share is 0\.9"),
        (lambda: indexer.train("c.csv", "run", workers=0), "workers is 0"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_where_it_is_made(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


def bert(layers: int = 1) -> tuple[TwoTowerConfig, object]:
    tokenizer = fit_tokenizer(NAMES, 200)
    text = TextConfig("bert", tokenizer.get_vocab_size(), 16, 32, layers, 2, context=16)
    return TwoTowerConfig(8, ImageConfig("tiny", 16), text), tokenizer


def test_a_new_bert_takes_larger_steps_than_one_that_was_trained_before() -> None:
    config, tokenizer = bert()

    new = new_two_tower(config, tokenizer, None, None, "cpu", 0)  # type: ignore[arg-type]
    trained = TrainableTwoTower(TwoTowerModel(config), tokenizer, "saved", "cpu")  # type: ignore[arg-type]

    assert new.facts.rates.text == 10 * trained.facts.rates.text
    assert new.facts.rates.head == trained.facts.rates.head


def test_a_resnet_from_scratch_begins_with_blocks_that_change_nothing() -> None:
    from retrieval.encoders.two_tower.backbones import build_backbone

    torch.manual_seed(0)
    stage = build_backbone(ImageConfig("resnet50")).features[1]
    assert isinstance(stage, torch.nn.Sequential)
    block = stage[1].train()
    pictures = torch.rand(2, 256, 4, 4)

    assert torch.equal(block(pictures), pictures)

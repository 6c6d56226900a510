"""Options of ``vlsearch train``: what training starts from, and its recipe."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, TypeVar

import click

from retrieval.cli.completing import complete_models
from retrieval.cli.corpus_options import corpus_options
from retrieval.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

_RATE = click.FloatRange(min=0)
_SHARE = click.FloatRange(0, 1)

_MODEL = (
    click.option(
        "--model",
        metavar="MODEL",
        shell_complete=complete_models,
        help="Fine-tune this: alias, hub name or folder.",
    ),
    click.option(
        "--lora", type=click.IntRange(1), metavar="RANK", help="Learn low-rank adapters, merged at the end."
    ),
    click.option(
        "--lora-alpha", type=click.IntRange(1), help="Scale of the adapters: alpha / RANK. [default: 16]"
    ),
    click.option(
        "--image-backbone",
        type=click.Choice(["resnet50", "mobilenet_v2", "efficientnet_lite2", "tiny"]),
        help="Image backbone of a new two-tower model. [default: resnet50]",
    ),
    click.option(
        "--image-weights",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="torchvision classifier weights to start from, as safetensors.",
    ),
    click.option("--tf-padding", is_flag=True, help="The image weights were trained in TensorFlow."),
    click.option(
        "--image-size", type=click.IntRange(16), help="Side, in pixels, that the tower sees. [default: 224]"
    ),
    click.option(
        "--text-backbone",
        type=click.Choice(["bert", "bag"]),
        help="Text backbone of a new two-tower model; bag is the mean of sub-word vectors. [default: bert]",
    ),
    click.option(
        "--text-weights",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder of a BERT checkpoint to start from, with its tokenizer.",
    ),
    click.option(
        "--text-layers", type=click.IntRange(1, 256), help="Layers of a BERT from scratch. [default: 4]"
    ),
    click.option(
        "--frozen-stages",
        type=click.IntRange(0),
        default=0,
        help="Image stages of a two-tower model, from the input, that never learn.",
    ),
)

_RECIPE = (
    click.option(
        "--epochs", type=click.IntRange(1), default=8, show_default=True, help="Passes over the pictures."
    ),
    click.option(
        "--steps", type=click.IntRange(1), help="Stop after this many steps, whatever --epochs says."
    ),
    click.option(
        "--batch-size", type=click.IntRange(2), default=128, show_default=True, help="Pictures in a batch."
    ),
    click.option(
        "--chunk-size",
        type=click.IntRange(1),
        help="Encode this many at a time: batches larger than memory, by gradient caching.",
    ),
    click.option(
        "--captions",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Captions drawn for each picture of a batch, of each language.",
    ),
    click.option(
        "--loss",
        type=click.Choice(["infonce", "sigmoid", "triplet", "distillation"]),
        default="infonce",
        show_default=True,
        help="CLIP's, SigLIP's, VSE++'s, or a teacher alone.",
    ),
    click.option("--margin", type=_RATE, default=0.2, show_default=True, help="Margin of the triplet loss."),
    click.option(
        "--distil-weight",
        type=_RATE,
        default=1.0,
        show_default=True,
        help="Weight of distillation from a teacher beside --loss.",
    ),
    click.option("--image-rate", type=_RATE, help="Peak learning rate of the image tower."),
    click.option("--text-rate", type=_RATE, help="Peak learning rate of the text tower."),
    click.option("--head-rate", type=_RATE, help="Peak learning rate of the projections."),
    click.option(
        "--scale-rate",
        type=_RATE,
        default=1e-3,
        show_default=True,
        help="Peak learning rate of the temperature.",
    ),
    click.option(
        "--warmup",
        type=_SHARE,
        default=0.05,
        show_default=True,
        help="Share of the steps over which the rates rise.",
    ),
    click.option(
        "--weight-decay",
        type=_RATE,
        default=0.05,
        show_default=True,
        help="Weight decay of matrices and kernels.",
    ),
    click.option(
        "--clip",
        type=click.FloatRange(0, min_open=True),
        default=1.0,
        show_default=True,
        help="Largest gradient norm.",
    ),
    click.option(
        "--locked-image-epochs",
        type=click.IntRange(0),
        default=0,
        help="Freeze the image tower for this many epochs, then train everything.",
    ),
    click.option(
        "--locked-text-epochs",
        type=click.IntRange(0),
        default=0,
        help="Freeze the text tower for this many epochs.",
    ),
    click.option(
        "--norms",
        type=click.Choice(["stored", "batch"]),
        help="Statistics that batch norms use. [default: stored; batch for an image backbone from scratch]",
    ),
    click.option(
        "--ema",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.98,
        show_default=True,
        help="Decay of the averaged weights that are saved; 0 saves the newest.",
    ),
    click.option("--bfloat16", is_flag=True, help="Forward passes in bfloat16; weights stay float32."),
    click.option(
        "--crop-area", "area", type=_SHARE, default=0.45, show_default=True, help="Least share a crop keeps."
    ),
    click.option(
        "--crop-aspect",
        "aspect",
        type=click.FloatRange(1),
        default=1.25,
        show_default=True,
        help="Largest change of a crop's aspect ratio, as a factor.",
    ),
    click.option(
        "--flip",
        type=_SHARE,
        default=0.5,
        show_default=True,
        help="Chance of mirroring, where no caption says left or right.",
    ),
    click.option(
        "--colour",
        type=_SHARE,
        default=0.2,
        show_default=True,
        help="Largest random change of brightness and contrast, as a share.",
    ),
    click.option(
        "--soft",
        type=_SHARE,
        default=0.15,
        show_default=True,
        help="Chance of halving a crop's resolution first.",
    ),
    click.option(
        "--token-dropout", type=_SHARE, default=0.0, show_default=True, help="Chance of leaving a token out."
    ),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all random numbers."
    ),
)

_VALIDATION = (
    click.option("--val", metavar="CORPUS", help="Validate on another corpus, read with the same options."),
    click.option("--val-split", metavar="NAMES", help="Validate on other splits of a Karpathy JSON."),
    click.option(
        "--val-share",
        type=click.FloatRange(0, 0.5, min_open=True),
        default=0.1,
        show_default=True,
        help="Without --val and --val-split: hold out this share of the pictures for validation, drawn with --seed.",
    ),
)

_TEACHER = (
    click.option(
        "--teacher-images",
        type=click.Path(path_type=Path),
        metavar="NPY",
        help="Distil from a teacher: its image vectors, one row per picture of CORPUS, in order.",
    ),
    click.option(
        "--teacher-texts",
        type=click.Path(path_type=Path),
        metavar="NPY",
        help="Distil from a teacher: its text vectors, one row per caption, in order.",
    ),
)

_RUN = (
    click.option(
        "--checkpoint-minutes",
        type=click.FloatRange(min=0),
        default=5.0,
        show_default=True,
        help="Minutes between two checkpoints within an epoch.",
    ),
    click.option(
        "--checkpoint-steps", type=click.IntRange(1), help="Steps between two checkpoints within an epoch."
    ),
    click.option(
        "--cache",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Keep decoded pictures here, for other runs. [default: in --out, deleted at the end]",
    ),
    click.option("--data-licence", metavar="TEXT", help="Licence terms of the data, for the model card."),
    click.option("--device", metavar="NAME", help="cpu, cuda, mps. [default: a GPU where there is one]"),
)

_AUGMENTATION = ("area", "aspect", "flip", "colour", "soft", "token_dropout")
_OF_NEW = (
    "image_backbone",
    "image_weights",
    "tf_padding",
    "image_size",
    "text_backbone",
    "text_weights",
    "text_layers",
)


def train_options(command: Command) -> Command:
    """Add the options of training; the command receives ``settings``, keywords of :func:`indexer.train`."""

    @functools.wraps(command)
    def wrapped(
        *args: Any, start: Any, checkpoint_minutes: float, checkpoint_steps: int | None, **others: Any
    ) -> Any:
        from indexer import Saving  # torch: not for --help
        from indexer.training.entry import OF_TRAIN

        settings = {name: others.pop(name) for name in OF_TRAIN & others.keys()}
        settings |= {"model": start, "saving": Saving(checkpoint_minutes, checkpoint_steps)}
        return command(*args, settings=settings, **others)

    with_recipe = recipe_options(_decorated(wrapped, _RUN))
    with_corpus = corpus_options(_decorated(with_recipe, _TEACHER))
    decorated: Command = model_options(_decorated(with_corpus, _VALIDATION))
    return decorated


def model_options(command: Command) -> Command:
    """Add the options of what training starts from; the command receives ``start``."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        model: str | None,
        lora: int | None,
        lora_alpha: int | None,
        frozen_stages: int,
        **others: Any,
    ) -> Any:
        from indexer import FromModel, Lora, NewTwoTower  # torch: not for --help

        if lora is None and lora_alpha is not None:
            raise UsageError("--lora-alpha scales the adapters of --lora; give both, or leave it out")
        given = {name: value for name in _OF_NEW if (value := others.pop(name))}
        if model is None:
            if lora is not None:
                raise UsageError("--lora adapts a model that is there; name one with --model")
            return command(*args, start=NewTwoTower(**given, frozen_stages=frozen_stages), **others)
        if given:
            named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            makes = "makes" if len(given) == 1 else "make"
            raise UsageError(
                f"{named} {makes} a new model, and --model fine-tunes one; leave one or the other out"
            )
        adapters = None if lora is None else Lora(lora, lora_alpha or Lora().alpha)
        return command(*args, start=FromModel(model, adapters, frozen_stages), **others)

    decorated: Command = _decorated(wrapped, _MODEL)
    return decorated


def recipe_options(command: Command) -> Command:
    """Add the options of the recipe; the command receives ``recipe``."""

    @functools.wraps(command)
    def wrapped(*args: Any, **others: Any) -> Any:
        from indexer import Augmentation, Recipe  # numpy: not for --help

        augmentation = Augmentation(**{name: others.pop(name) for name in _AUGMENTATION})
        names = {field.name for field in fields_of(Recipe)} - {"augmentation"}
        given = {name: others.pop(name) for name in names}
        return command(*args, recipe=Recipe(**given, augmentation=augmentation), **others)

    decorated: Command = _decorated(wrapped, _RECIPE)
    return decorated


def _decorated(command: Any, options: tuple[Callable[[Any], Any], ...]) -> Any:
    for option in reversed(options):
        command = option(command)
    return command

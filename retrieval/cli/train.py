"""``vlsearch train``: fit a two-tower model to a corpus of captioned pictures."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("corpus")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the run; OUT/best is the model."
)
@click.option(
    "--image-backbone",
    type=click.Choice(["resnet50", "mobilenet_v2", "efficientnet_lite2"]),
    default="resnet50",
    show_default=True,
    help="Image tower.",
)
@click.option("--image-weights", type=click.Path(path_type=Path), help="torchvision weights, as safetensors.")
@click.option("--tf-padding", is_flag=True, help="The image weights were trained in TensorFlow.")
@click.option(
    "--text-backbone",
    type=click.Choice(["bert", "bag"]),
    default="bert",
    show_default=True,
    help="Text tower.",
)
@click.option(
    "--epochs", type=click.IntRange(1), default=8, show_default=True, help="Passes over the corpus."
)
@click.option("--batch-size", type=click.IntRange(2), default=128, show_default=True, help="Pairs a step.")
@click.option(
    "--val-share",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.1,
    show_default=True,
    help="Share of the pictures kept to judge by.",
)
@click.option(
    "--frozen-stages",
    type=click.IntRange(0),
    default=0,
    help="Image stages, from the input, kept as they are.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random number.")
def train(
    corpus: str,
    out: Path,
    image_backbone: str,
    image_weights: Path | None,
    tf_padding: bool,
    text_backbone: str,
    epochs: int,
    batch_size: int,
    val_share: float,
    frozen_stages: int,
    seed: int,
) -> None:
    """Train a two-tower model on a corpus.

    Run again with the same options, a killed run goes on.
    """
    from indexer.training.loop import Recipe  # torch: not for --help
    from indexer.training.run import RunSettings, train_corpus

    recipe = Recipe(epochs=epochs, batch_size=batch_size, frozen_stages=frozen_stages, seed=seed)
    settings = RunSettings(image_backbone, image_weights, tf_padding, text_backbone, val_share)
    train_corpus(corpus, out, settings, recipe, _show)
    click.echo(f"{out / 'best'}")


def _show(line: dict[str, object]) -> None:
    shown = (
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in line.items()
    )
    click.echo("  ".join(shown), err=True)

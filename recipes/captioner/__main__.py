"""Run the recipe, or go on with a run that was stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from recipes.captioner import cross_entropy, self_critical
from recipes.captioner.decoder import Decoder
from recipes.captioner.export import export
from recipes.captioner.features import STEP, cache_features
from recipes.captioner.figures import print_figures
from recipes.captioner.photographs import captions_of, read_photographs
from recipes.captioner.settings import SelfCriticalPlan, Settings
from recipes.captioner.start import begin_in_shared_space
from recipes.captioner.texts import make_texts
from recipes.mini.output_folder import SettingsError, claim
from retrieval.encoders.registry import BUNDLED, load_encoder
from retrieval.encoders.two_tower.features import ImageFeatures
from retrieval.generators.captioner.config import Decoding

DECODING = Decoding(beams=5, most=20, length_power=1.0, agreement=0.5)


def main() -> None:
    """All stages that are not done."""
    parser = argparse.ArgumentParser(prog="python -m recipes.captioner", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds flickr8k")
    parser.add_argument("--out", type=Path, required=True, help="what the stages make; may be gone on with")
    parser.add_argument(
        "--self-critical", type=int, default=0, metavar="STEPS", help="train on what is drawn too"
    )
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = Settings(self_critical=SelfCriticalPlan(steps=args.self_critical))
    tower = ImageFeatures(BUNDLED / "mini")
    try:
        claim(args.out, settings.facts(tower.digest))
    except SettingsError as error:
        sys.exit(f"error: {error}")
    run(args.data, args.out, tower, settings)


def run(data: Path, out: Path, tower: ImageFeatures, settings: Settings) -> None:
    """Run the stages in an output folder that is claimed."""
    photographs = read_photographs("train", data)
    captions = captions_of(photographs)
    views = [
        cache_features(tower, photographs, out / f"train-{name}.npy", mirrored=name == "mirrored")
        for name in ("plain", "mirrored")
    ]
    seen = cache_features(tower, read_photographs("val", data), out / "val-plain.npy")
    texts = make_texts(captions, settings, out / "texts.json")
    torch.manual_seed(settings.seed)
    plan = settings.cross_entropy
    decoder = Decoder(settings.shape, tower.size, views[0].shape[1], len(texts.words), plan.dropout)
    begin_in_shared_space(decoder, load_encoder("mini"), tower, views[0], texts.words)
    first = cross_entropy.train(decoder, views, texts, plan, settings.seed, out / "cross-entropy.pt")
    last = self_critical.train(
        decoder,
        first,
        views[0],
        captions,
        texts,
        settings.self_critical,
        settings.seed,
        out / "self-critical.pt",
    )
    export(out / "model", last, texts, settings.shape, tower.digest, DECODING)
    rows = [tower.rows(part.mean(1, keepdims=True, dtype="f4") * STEP) for part in (views[0], seen)]
    print_figures(out / "model", data, rows[0], rows[1], captions)


if __name__ == "__main__":
    main()

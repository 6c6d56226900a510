"""Fit the calibration of a finished model and write it beside its weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.mini.calibration.fit import TRAINED, fit
from recipes.mini.calibration.questions import SETS
from recipes.mini.calibration.vectors import KeptVectors
from recipes.mini.photographs import read_set
from retrieval.calibration import FILE, TERMS
from retrieval.encoders.registry import load_encoder


def main() -> None:
    """Encode what is not kept yet, fit, write."""
    parser = argparse.ArgumentParser(prog="python -m recipes.mini.calibration", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds flickr8k, coco_labels, classes")
    parser.add_argument(
        "--model", type=Path, required=True, help="the model folder; the file is written there"
    )
    parser.add_argument("--vectors", type=Path, help="keep vectors in this folder, or take them from there")
    args = parser.parse_args()
    encoder = load_encoder(args.model)
    kept = KeptVectors(encoder, args.vectors)
    photographs = {name: read_set(name, args.data) for name in dict.fromkeys((*TRAINED, *SETS))}
    images = {name: kept.images(name, own) for name, own in photographs.items()}
    calibration = fit(photographs, images, kept.texts, encoder.identity.weights)
    kept.keep()
    (args.model / FILE).write_text(calibration.to_json(), encoding="utf-8")
    print(args.model / FILE)
    print(dict(zip(TERMS, calibration.coefficients, strict=True)))
    print(dict(zip(TERMS, calibration.nothing, strict=True)))


if __name__ == "__main__":
    main()

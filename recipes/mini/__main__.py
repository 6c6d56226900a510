"""Run the recipe, or go on with a run that was stopped."""

from __future__ import annotations

import numpy as np

from recipes.mini.command import opened
from recipes.mini.start import export
from retrieval.encoders.two_tower.encoder import add_ranges

RANGE_PHOTOGRAPHS = 64


def main() -> None:
    """All stages that are not done, and the model folder."""
    training = opened("python -m recipes.mini", __doc__)
    training.run()
    model = training.folders.out / "model"
    export(training.model, training.folders.start, model)
    preparation = training.model.config.image.preparation
    photographs = training.photographs("flickr_train")[:RANGE_PHOTOGRAPHS]
    add_ranges(model, np.stack([preparation.prepare(one.open()) for one in photographs]))


if __name__ == "__main__":
    main()

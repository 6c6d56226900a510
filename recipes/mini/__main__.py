"""Run the recipe, or go on with a run that was stopped."""

from __future__ import annotations

from recipes.mini.command import opened
from recipes.mini.start import export


def main() -> None:
    """All stages that are not done, and the model folder."""
    training = opened("python -m recipes.mini", __doc__)
    training.run()
    export(training.model, training.folders.start, training.folders.out / "model")


if __name__ == "__main__":
    main()

"""What benchmarks of probabilities share: the bundled model with its calibration, and their options."""

from __future__ import annotations

import argparse
from pathlib import Path

import retrieval
from retrieval.calibration import Calibration
from retrieval.encoders.calibrations import calibration_of


def parser_of(docstring: str | None) -> argparse.ArgumentParser:
    """Make a parser of the options: DATA, and where vectors are kept."""
    parser = argparse.ArgumentParser(
        description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--vectors", type=Path, help="keep vectors in this folder, or take them from there")
    return parser


def calibrated_mini() -> tuple[retrieval.Encoder, Calibration]:
    """Load ``mini``, and what makes its scores probabilities."""
    encoder = retrieval.load_encoder("mini")
    calibration = calibration_of(encoder.identity)
    assert calibration is not None, "mini has a calibration"
    return encoder, calibration

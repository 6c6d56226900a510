"""Fit how likely a hit is right ("nothing matches") for a finished model: see :mod:`retrieval.calibration`."""

"""Vectors and speed of encoders."""

"""Benchmarks of models that write."""

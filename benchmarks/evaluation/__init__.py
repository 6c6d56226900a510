"""Retrieval figures of models and approximate indexes, and the speed of the evaluation itself."""

"""Queries: written or built as weighted parts, composed to one unit vector, ranked by a collection.

The names to use are those that :mod:`retrieval` exports; importing this package loads no heavy package.
"""

"""Tell on stderr which model a new collection gets, and how to get a better one."""

from __future__ import annotations

from pathlib import Path

import click


def say_model(collection: Path, model: str) -> None:
    """Tell which model ``auto`` chooses, unless the collection exists and so has its model."""
    from retrieval.catalogue_name import is_collection
    from retrieval.encoders.registry import AUTO, auto_choice

    if model == AUTO and not is_collection(collection):
        click.echo(auto_choice()[1], err=True)

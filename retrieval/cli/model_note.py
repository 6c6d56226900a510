"""Tell on stderr which model a new collection gets, and how to get a better one."""

from __future__ import annotations

import click

from retrieval.places import CollectionPlace


def say_model(collection: CollectionPlace, model: str) -> None:
    """Tell which model ``auto`` chooses, unless the collection exists and so has its model."""
    from indexer.store.writers import is_made
    from retrieval.encoders.registry import AUTO, auto_choice

    if model == AUTO and not is_made(collection):
        click.echo(auto_choice()[1], err=True)

"""Build and drop accelerators, through which searches of large collections look at few vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.store.acceleration import DEFAULT_RECALL, FROM_ROWS, Accelerated, accelerate_if_due
from indexer.store.writer import Writer
from retrieval.collection.accelerators.opened import read_accelerators
from retrieval.collection.encoder_rows import active_encoder_id
from retrieval.collection.engine import driver_connection
from retrieval.encoders.registry import load_bound_encoder
from retrieval.errors import UsageError


def accelerate(
    collection: str | Path,
    *,
    recall: float = DEFAULT_RECALL,
    from_rows: int = FROM_ROWS,
    threads: int = 2,
    timeout: float = 0.0,
) -> list[Accelerated]:
    """Build the accelerators that are missing, or that cover fewer than nine tenths of the collection's vectors.

    Searches find nearly all of the best items through them, with the scores and the order of the exact search;
    ``search(..., exact=True)`` does without.

    Args:
        collection: its folder.
        recall: of the exact 10 best, that a search must find in the mean, above 0 and below 1; measured on stored texts
            where images are searched, else on bundled texts, which loads the model.
        from_rows: vectors of a kind from which one is built, >= 1.
        threads: that building may use, >= 1.
        timeout: seconds to wait for another process that writes to the collection.

    Raises:
        UsageError: ``recall`` is not between 0 and 1, or ``from_rows`` or ``threads`` is below 1.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    if not 0 < recall < 1:
        raise UsageError(
            f"the recall is {recall}; give a number above 0 and below 1, such as {DEFAULT_RECALL}"
        )
    if from_rows < 1 or threads < 1:
        raise UsageError("from_rows and threads must be at least 1")
    with Writer.existing(Path(collection), timeout) as writer:
        return accelerate_if_due(
            writer, text_encoder(writer), recall=recall, from_rows=from_rows, threads=threads
        )


def drop_accelerators(collection: str | Path, *, timeout: float = 0.0) -> int:
    """Drop the accelerators of a collection, so that searches scan all vectors again, and return how many.

    Raises:
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    with Writer.existing(Path(collection), timeout) as writer:
        with writer.look_up() as connection:
            driver = driver_connection(connection)
            numbers = [facts.id for facts in read_accelerators(driver, active_encoder_id(driver))]
        writer.drop_accelerators(numbers)
        return len(numbers)


def text_encoder(writer: Writer) -> Callable[[list[str]], NDArray[np.float32]]:
    """Give a function that loads the encoder that a collection is bound to, and encodes texts with it."""

    def encode(texts: list[str]) -> NDArray[np.float32]:
        identity = writer.identity
        assert identity is not None, "vectors have an encoder"
        return load_bound_encoder(identity).encode_texts(texts)

    return encode

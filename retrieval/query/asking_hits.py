"""Ask a question about pictures of a collection: those that a search has found, or any items.

``mini`` answers by the stored vectors where the collection was built with it, and reads no file. Other models see the
pictures, which the limited worker processes read as they were indexed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from retrieval.collection import Collection
from retrieval.decoding.ordered import map_in_order
from retrieval.encoders.preparing import preparation_of
from retrieval.encoders.registry import load_encoder
from retrieval.errors import ImageError, UsageError
from retrieval.generators.base import Answer, Generator
from retrieval.query.asking import LIMITED, answer_by_encoder, find_answerer, understood_by_mini
from retrieval.query.parts import Query
from retrieval.query.pictures import Picture, find_pictures, prepare_indexed
from retrieval.query.questions import which_pictures
from retrieval.query.searching import search
from retrieval.query.without import read_query
from retrieval.types import Hit, Item, Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.decoding.pool import DecodePool
    from retrieval.decoding.preparations import Preparation
    from retrieval.query.resources import QueryResources

BATCH = 8
DECODED_AHEAD = 2 * BATCH
NOT_A_PICTURE = "it is not a picture of the collection"


@dataclass(frozen=True, slots=True)
class PictureAnswer:
    """An item, and the answer about its picture; or the reason, in one clause, why there is none."""

    item: Item
    answer: Answer | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class CollectionQuestion:
    """A question about a collection, taken apart.

    Attributes:
        query: what is searched for.
        question: what is asked of each hit.
        choices: to answer with; None for any words.
        wanted: the answer by which a picture is one of those asked for; None where every answer is of interest.
    """

    query: str
    question: str
    choices: tuple[str, ...] | None
    wanted: str | None


def ask_about(
    resources: QueryResources,
    given: Sequence[Item | Hit],
    question: str,
    choices: Sequence[str] | None,
    model: Generator | str | Path | None,
) -> list[PictureAnswer]:
    """Answer a question about the picture of each item or hit of an engine's collection.

    Args:
        resources: of the engine.
        given: of its collection.
        question: see :func:`retrieval.ask`.
        choices: likewise.
        model: likewise.

    Raises:
        UsageError, ModelError, MissingExtra: as :func:`retrieval.ask`.
    """
    items = [one.item if isinstance(one, Hit) else one for one in given]
    generator = find_answerer(model)
    return ask_pictures(resources.collection, resources.decode_pool(), items, question, choices, generator)


def ask_collection(
    resources: QueryResources,
    question: str,
    query: str | None,
    k: int,
    choices: Sequence[str] | None,
    model: Generator | str | Path | None,
) -> tuple[CollectionQuestion, list[PictureAnswer]]:
    """Search for what a question is about, and ask the question of each of the hits.

    Args:
        resources: of the engine.
        question: "which of my pictures show a dog?", which says what to look for; or, beside a query, any question.
        query: words to look for.
        k: hits to ask about.
        choices: 2 to 100 answers to choose from, beside a query.
        model: see :func:`retrieval.ask`.

    Returns:
        How the question was read, and the answers in the order of the hits.

    Raises:
        UsageError, ModelError, MissingExtra: as :func:`retrieval.ask`; or nothing is named to look for.
        QueryError, CollectionError: as a search.
    """
    generator = find_answerer(model)
    asked = take_apart(question, query, choices, generator is None)
    check_question(asked.question, asked.choices, generator)
    read, _ = read_query(Query.of(asked.query))
    [hits] = search(resources, [read], Request(k, "image"))
    items, pool = [hit.item for hit in hits], resources.decode_pool()
    return asked, ask_pictures(resources.collection, pool, items, asked.question, asked.choices, generator)


def take_apart(
    question: str, query: str | None, choices: Sequence[str] | None, by_mini: bool
) -> CollectionQuestion:
    """Take a question about a collection apart: into a query, and a question about each of its hits.

    Args:
        question: "which of my pictures show a dog?", which names what to look for; beside a query, any question.
        query: what to look for.
        choices: to answer a question with.
        by_mini: whether ``mini`` answers, whose words for yes and no are its own.

    Raises:
        UsageError: nothing is named to look for, or choices are given to a question that is answered by yes and no.
    """
    given = None if choices is None else tuple(choices)
    if query is not None:
        return CollectionQuestion(query, question, given, None)
    which = which_pictures(question)
    if which is None:
        raise UsageError(
            'name what to look for, with --query or as in "which of my pictures show a dog?"; or name a picture before '
            "the question"
        )
    if given is not None:
        raise UsageError(
            f"{question!r:.100} is answered by yes or no; leave --choices out, or give a --query"
        )
    return CollectionQuestion(
        which.thing, which.question, None if by_mini else which.choices, which.choices[0]
    )


def check_question(question: str, choices: Sequence[str] | None, generator: Generator | None) -> None:
    """Refuse what cannot be asked, before anything is searched or decoded; None as the generator is ``mini``.

    Raises:
        UsageError: the question or the choices cannot be used.
        ModelError: ``mini`` cannot answer such a question.
    """
    if generator is None:
        understood_by_mini(question, choices)
    else:
        generator.answer_prepared([], question, choices)


def ask_pictures(
    collection: Collection,
    pool: DecodePool,
    items: Sequence[Item],
    question: str,
    choices: Sequence[str] | None,
    generator: Generator | None,
) -> list[PictureAnswer]:
    """Answer a question about the picture of each item; None as the generator is ``mini``.

    Raises:
        UsageError: the question or the choices cannot be used.
        ModelError: ``mini`` cannot answer such a question, or the model cannot be used.
    """
    check_question(question, choices, generator)
    if generator is not None:
        with collection.reading() as view:
            pictures = find_pictures(view, [item.id for item in items])
        asked = generator

        def answer(arrays: Sequence[NDArray[Any]]) -> list[Answer]:
            return asked.answer_prepared(arrays, question, choices)

        return _answer_by_reading(pool, items, pictures, asked.preparation, answer)
    return _answer_by_mini(collection, pool, items, question, choices)


def _answer_by_mini(
    collection: Collection,
    pool: DecodePool,
    items: Sequence[Item],
    question: str,
    choices: Sequence[str] | None,
) -> list[PictureAnswer]:
    understood, encoder = understood_by_mini(question, choices), load_encoder(LIMITED)
    with collection.reading() as view:
        pictures = find_pictures(view, [item.id for item in items])
        has_its_vectors = view.identity is not None and view.identity.digest == encoder.identity.digest
        stored = view.item_vectors(list(pictures)) if has_its_vectors else {}

    def answers(vectors: Sequence[NDArray[np.float32]]) -> list[Answer]:
        return [answer_by_encoder(encoder, vector, understood) for vector in vectors]

    if has_its_vectors:
        vectors = {number: found.vector for number, found in stored.items() if found.vector is not None}
        return [
            PictureAnswer(item, answers([vectors[item.id]])[0], None)
            if item.id in vectors
            else PictureAnswer(item, None, NOT_A_PICTURE)
            for item in items
        ]
    rule = preparation_of(encoder)
    assert rule is not None, f"{LIMITED} says how it prepares"
    return _answer_by_reading(
        pool,
        items,
        pictures,
        rule,
        lambda arrays: answers(list(encoder.encode_prepared(arrays))) if arrays else [],
    )


def _answer_by_reading(
    pool: DecodePool,
    items: Sequence[Item],
    pictures: Mapping[int, Picture],
    rule: Preparation,
    answer: Callable[[Sequence[NDArray[Any]]], list[Answer]],
) -> list[PictureAnswer]:
    def read(item: Item) -> NDArray[Any]:
        if item.id not in pictures:
            raise ImageError(NOT_A_PICTURE)
        array = prepare_indexed(pool, pictures[item.id], rule).array
        assert array is not None, "every picture is wanted"
        return array

    found: list[PictureAnswer] = []
    waiting: list[tuple[Item, NDArray[Any] | ImageError]] = []
    for item, outcome in map_in_order(read, items, 1, DECODED_AHEAD, Event()):
        waiting.append((item, outcome))
        if len(waiting) == BATCH or len(found) + len(waiting) == len(items):
            arrays = [one for _, one in waiting if not isinstance(one, ImageError)]
            answers = iter(answer(arrays))
            found += [
                PictureAnswer(one, None, str(array))
                if isinstance(array, ImageError)
                else PictureAnswer(one, next(answers), None)
                for one, array in waiting
            ]
            waiting = []
    return found

"""Tags that ``vlsearch tag`` gave, as attributes of an item: which attributes are the tagger's, and which are not.

``tags`` lists the names; ``tag:NAME`` is the probability of each; ``tagged_by`` says which model and vocabulary gave
them. An item with ``tags`` and without ``tagged_by`` has tags that people, its corpus or a program gave; they stay.
"""

from __future__ import annotations

from collections.abc import Mapping

from retrieval.types import Attribute

TAGS = "tags"
TAGGED_BY = "tagged_by"
PROBABILITY = "tag:"
"""In front of a name: the attribute with its probability."""


def has_own_tags(attributes: Mapping[str, Attribute]) -> bool:
    """Whether an item has tags that are not the tagger's."""
    return TAGS in attributes and TAGGED_BY not in attributes


def machine_tags(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Give those of an item's attributes that the tagger gave."""
    if TAGGED_BY not in attributes:
        return {}
    return {
        name: value
        for name, value in attributes.items()
        if name in (TAGS, TAGGED_BY) or name.startswith(PROBABILITY)
    }


def without_machine_tags(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Give an item's attributes without those that the tagger gave."""
    by_machine = machine_tags(attributes)
    return {name: value for name, value in attributes.items() if name not in by_machine}


def with_machine_tags(
    attributes: Mapping[str, Attribute], tagged: Mapping[str, Attribute]
) -> dict[str, Attribute]:
    """Add the tagger's attributes among ``tagged`` to others, unless these have tags of their own."""
    return dict(attributes) if TAGS in attributes else {**machine_tags(tagged), **attributes}

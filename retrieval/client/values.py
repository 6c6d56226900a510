"""Answers of the HTTP API as the values that the engine gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from retrieval.client.faults import told
from retrieval.collection import CollectionInfo
from retrieval.errors import VlsearchError
from retrieval.query.explanation import Explanation, Grid, PartShare, PictureShare, Region, WordShare
from retrieval.types import Hit, Hits, ImageText, Item, LinkedText

Facts = Mapping[str, Any]


def item_of(facts: Facts) -> Item:
    """Make an item; one whose place is not told to this client has a uri that names it at the server."""
    return Item(
        facts["id"],
        facts["kind"],
        facts["uri"] if facts["uri"] is not None else f"vlsearch:item/{facts['id']}",
        facts["key"],
        facts["text"],
        facts["lang"],
        tuple(LinkedText(one["id"], one["uri"] or "", one["text"], one["lang"]) for one in facts["captions"]),
        dict(facts["attributes"]),
        tuple(
            ImageText(one["origin"], one["maker"], one["text"], tuple(map(_box, one["boxes"])))
            for one in facts["texts"]
        ),
    )


def hits_of(facts: Facts) -> Hits:
    """Make the hits of an answer."""
    known = facts.get("probability"), facts.get("verdict"), facts.get("mode", "vector")
    hits = Hits(map(hit_of, facts["hits"]), *known)
    place = facts.get("cursor")
    hits.next_page = None if place is None else partial(str, place)
    return hits


def answers_of(facts: Facts, count: int) -> list[Hits | VlsearchError]:
    """Make the hits of each answer of a batch, or the error that it has.

    Raises:
        ValueError: these are the answers of another number of queries.
    """
    if len(facts["answers"]) != count:
        raise ValueError(f"{len(facts['answers'])} answers to {count} queries")
    return [told(one["type"], one["error"]) if "error" in one else hits_of(one) for one in facts["answers"]]


def facets_of(facts: Facts) -> dict[str, dict[str, int]]:
    """Make the counts of values by field."""
    return {name: {one["value"]: one["count"] for one in values} for name, values in facts["facets"].items()}


def hit_of(facts: Facts) -> Hit:
    """Make a hit."""
    region = facts.get("region")
    return Hit(
        facts["rank"],
        facts["score"],
        item_of(facts),
        dict(facts.get("ranks", {})),
        None if region is None else (region[0], region[1], region[2], region[3]),
        cosine=facts.get("cosine"),
    )


def info_of(facts: Facts) -> CollectionInfo:
    """Make the totals of a collection; its path is empty where it is not told."""
    from retrieval.collection.accelerators.measurement import (  # late: few programs ask
        AcceleratorMeasurement,
        IndexMeasurement,
    )
    from retrieval.collection.totals import AcceleratorInfo

    known = {one.name: facts[one.name] for one in fields(CollectionInfo) if one.name in facts}
    known["accelerators"] = {
        kind: AcceleratorInfo(
            **{
                **one,
                "measurement": (IndexMeasurement if "probes" in measured else AcceleratorMeasurement)(
                    **measured
                ),
            }
        )
        for kind, one in facts.get("accelerators", {}).items()
        for measured in [one["measurement"]]
    }
    return CollectionInfo(**{**known, "path": known["path"] or ""})


def explanation_of(facts: Facts) -> Explanation:
    """Make an explanation."""
    return Explanation(
        facts["id"],
        facts["score"],
        tuple(
            PartShare(**{**one, "words": tuple(WordShare(**word) for word in one["words"])})
            for one in facts["parts"]
        ),
        None if facts["picture"] is None else _picture_share(facts["picture"]),
        facts["reason"],
    )


def _picture_share(facts: Facts) -> PictureShare:
    return PictureShare(
        None if facts["contributions"] is None else _grid(facts["contributions"]),
        facts["rest"],
        _grid(facts["relevance"]),
        None if facts["point"] is None else (facts["point"][0], facts["point"][1]),
        None if facts["region"] is None else Region(**facts["region"]),
    )


def _grid(facts: Facts) -> Grid:
    return Grid(Region(**facts["seen"]), tuple(map(tuple, facts["values"])))


def _box(corners: list[float]) -> Any:
    return tuple(corners)

"""What assistants may do here: a few tools that search and show, and change nothing. Knows no protocol.

Arguments come from a language model and are checked as those of any client. An answer is one JSON object with the
fields of the HTTP API, links to the pictures, and at most one picture of bounded size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from retrieval.answers import answer_facts
from retrieval.collection.filters.parse import parse_where
from retrieval.query.parts import Query, TextPart
from retrieval.query.pictures import SIZES
from retrieval.query.requests import read_as_asked
from retrieval.server.answers import hits_answer, info_answer, item_answer, reading_answer
from retrieval.server.bodies import LARGEST, Condition, ItemId, Name, Words
from retrieval.server.context import Context, in_one_generation
from retrieval.server.failures import NoSuch
from retrieval.server.served import Served
from retrieval.types import Hits, Item, Kind, Mode, Request, Sort

MOST_HITS = 50  # more would fill an assistant's memory, and a next page is one call away
MOST_PICTURE_BYTES = 2**20
MOST_TEXT = 500  # characters of each text that stands in a picture

Arguments = TypeVar("Arguments", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who calls a tool.

    Attributes:
        local: whether paths of this machine may be told.
        base: address of the HTTP API, for links; None where there is none.
    """

    local: bool
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A picture that can be looked at elsewhere."""

    uri: str
    name: str
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool gives back.

    Attributes:
        facts: as JSON has them.
        links: to pictures.
        picture: bytes of a WebP.
    """

    facts: dict[str, Any]
    links: Sequence[Link] = ()
    picture: bytes | None = None


@dataclass(frozen=True)
class AssistantTool(Generic[Arguments]):
    """A tool: what it is called, what it says of itself, what it takes and gives.

    Attributes:
        name: of the tool.
        title: for people.
        description: for the model that chooses it.
        arguments: what they must be.
        required: fields of each answer.
        run: makes the answer, in a thread.
        decodes: whether it waits for pictures rather than for searches.
    """

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    required: tuple[str, ...]
    run: Callable[[Context, Asker, Arguments], ToolAnswer]
    decodes: bool = False

    def answer(self, shared: Context, asker: Asker, given: dict[str, Any]) -> ToolAnswer:
        """Check arguments, and run the tool.

        Raises:
            pydantic.ValidationError: the arguments are not what the tool takes.
            VlsearchError, NoSuch: it cannot be done.
        """
        return self.run(shared, asker, self.arguments.model_validate(given))


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")

    collection: Name | None = Field(None, description="Name of a collection; the first one by default.")


class _Hits(_Arguments):
    k: Annotated[int, Field(ge=1, le=MOST_HITS)] = 10
    offset: Annotated[int, Field(ge=0, le=2**31, description="Best hits to pass over.")] = 0
    find: Kind | None = Field(None, description="Find pictures (image) or captions (text).")
    where: Condition | None = Field(
        None, description="Condition on fields: taken in 2021 and camera = 'X100'."
    )
    sort: Sort = "score"


class SearchArguments(_Hits):
    """Arguments of the tool ``search``."""

    text: Words = Field(description="What to find, in English or Chinese: a dog on a beach, without people.")
    mode: Mode | None = Field(
        None,
        description="By meaning (vector), by words in texts (words), or both (hybrid, the default where captions "
        "hold words of the text).",
    )


class SimilarArguments(_Hits):
    """Arguments of the tool ``similar``."""

    items: list[ItemId] = Field(min_length=1, max_length=16, description="Ids of items to be like.")
    unlike: list[ItemId] = Field([], max_length=16, description="Ids of items to be unlike.")


class PictureArguments(_Arguments):
    """Arguments of the tool ``get_picture``."""

    item: Annotated[int, Field(ge=1, le=LARGEST, description="An item's id.")]
    size: Literal[240, 480, 1600] = Field(
        480, description="Pixels: of the short side, or 1600 of the long one."
    )


class DescribeArguments(_Arguments):
    """Arguments of the tool ``describe_collection``."""


class FacetArguments(_Arguments):
    """Arguments of the tool ``facets``."""

    fields: list[Name] = Field(
        [], max_length=16, description="Fields, such as year, camera, keywords; the usual ones by default."
    )
    where: Condition | None = None
    kind: Kind = "image"
    most: Annotated[int, Field(ge=1, le=100, description="Values of each field.")] = 20


def _search(shared: Context, asker: Asker, given: SearchArguments) -> ToolAnswer:
    served, asked = shared.served(given.collection), Query((TextPart(given.text),))
    query, readings = read_as_asked(asked, False, given.mode)
    request = Request(
        given.k, given.find, offset=given.offset, where=_where(given), sort=given.sort, mode=given.mode
    )
    answer = _hits_of(served, asker, given, lambda: served.engine.answer([query], request)[0])
    answer.facts["readings"] = [reading_answer(one) for one in readings]
    return answer


def _similar(shared: Context, asker: Asker, given: SimilarArguments) -> ToolAnswer:
    served = shared.served(given.collection)

    def hits() -> Hits:
        return Hits(
            served.engine.similar(
                *given.items,
                unlike=given.unlike,
                k=given.k,
                find=given.find,
                offset=given.offset,
                where=_where(given),
                sort=given.sort,
            )
        )

    return _hits_of(served, asker, given, hits)


def _get_picture(shared: Context, asker: Asker, given: PictureArguments) -> ToolAnswer:
    served = shared.served(given.collection)
    items = served.engine.collection.items([given.item])
    found = served.pictures.find([given.item]).get(given.item)
    if not items or found is None:
        raise NoSuch("there is no such picture in the collection, or it is hidden; take an id from search")
    sizes = [size for size in sorted(SIZES, reverse=True) if size <= given.size]
    small = next(
        data
        for size in sizes
        if len(data := served.pictures.thumbnail(found, size)) <= MOST_PICTURE_BYTES or size == sizes[-1]
    )
    facts = _without_boxes(item_answer(items[0], found, asker.local))
    return ToolAnswer({"item": facts}, _links(served, asker, items), small)


def _describe(shared: Context, asker: Asker, given: DescribeArguments) -> ToolAnswer:
    served = shared.served(given.collection)
    with served.engine.collection.reading() as view:
        fields = [
            {"name": one.name, "type": one.type, "examples": list(one.examples)} for one in view.fields()
        ]
    return ToolAnswer(
        {
            **info_answer(served.name, served.engine.info(), asker.local),
            "fields": [
                one for one in fields if asker.local or one["name"] not in ("uri", "folder", "corpus")
            ],
            "collections": [one.name for one in shared.collections],
        }
    )


def _facets(shared: Context, asker: Asker, given: FacetArguments) -> ToolAnswer:
    served = shared.served(given.collection)
    wanted = given.fields or [one for one in served.usual_facets() if one != "folder"]
    if not asker.local:
        wanted = [one for one in wanted if one not in ("folder", "corpus")]
    found = served.engine.facets(wanted, _where(given), given.kind, given.most)
    return ToolAnswer(
        {
            "collection": served.name,
            "facets": {
                name: [{"value": value, "count": count} for value, count in values.items()]
                for name, values in found.items()
            },
        }
    )


TOOLS: tuple[AssistantTool[Any], ...] = (
    AssistantTool(
        "search",
        "Search pictures",
        "Find pictures (or captions) by what they show, best first. A hit's id goes to get_picture and similar.",
        SearchArguments,
        ("collection", "hits"),
        _search,
    ),
    AssistantTool(
        "similar",
        "Find similar pictures",
        "Find what looks most like pictures that were found before, by their ids.",
        SimilarArguments,
        ("collection", "hits"),
        _similar,
    ),
    AssistantTool(
        "get_picture",
        "Look at a picture",
        "Give a picture itself, with its captions and attributes.",
        PictureArguments,
        ("item",),
        _get_picture,
        decodes=True,
    ),
    AssistantTool(
        "describe_collection",
        "Describe the collection",
        "Count pictures and captions, and name the fields that conditions (where) and facets can use.",
        DescribeArguments,
        ("name", "images", "texts", "fields"),
        _describe,
    ),
    AssistantTool(
        "facets",
        "Count by field",
        "Count pictures by the values of fields: how many a year, a camera, a keyword.",
        FacetArguments,
        ("collection", "facets"),
        _facets,
    ),
)
"""All tools, by which nothing can be changed."""


def _where(given: _Hits | FacetArguments) -> Any:
    return None if given.where is None else parse_where(given.where)


def _hits_of(served: Served, asker: Asker, given: _Hits, search: Callable[[], Hits]) -> ToolAnswer:
    def answer() -> tuple[Hits, list[dict[str, object]]]:
        hits = search()
        return hits, hits_answer(hits, served.pictures.find(hit.id for hit in hits), asker.local)

    generation, (hits, shown) = in_one_generation(served, answer)
    facts = {
        "collection": served.name,
        "generation": generation,
        **answer_facts(hits),
        "next": given.offset + given.k if len(hits) == given.k else None,
        "hits": [_without_boxes(one) for one in shown],
    }
    return ToolAnswer(facts, _links(served, asker, [hit.item for hit in hits]))


def _without_boxes(shown: dict[str, Any]) -> dict[str, Any]:
    """Leave out where lines stand in a picture, and the rest of long texts: an assistant has little room."""
    texts = [
        {"origin": one["origin"], "text": one["text"][:MOST_TEXT]} for one in shown["texts"] if one["text"]
    ]
    return {**shown, "texts": texts}


def _links(served: Served, asker: Asker, items: Sequence[Item]) -> list[Link]:
    """Link to the pictures of items: over HTTP, or to files for an assistant that sits at this machine."""
    pictures = [item for item in items if item.kind == "image"]
    if asker.base is not None:
        named = f"&collection={quote(served.name, safe='')}"
        return [
            Link(
                f"{asker.base}v1/items/{item.id}/thumbnail?size=1600{named}", f"item {item.id}", "image/webp"
            )
            for item in pictures
        ]
    return [Link(item.uri, f"item {item.id}") for item in pictures if asker.local]

"""What clients send: checked by pydantic, then given to the engine as parts of a query."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from fastapi import Query as Parameter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from retrieval.errors import QueryError
from retrieval.query.parts import ImagePart, ItemPart, KeyPart, Part, Query, TextPart
from retrieval.query.requests import condition_of
from retrieval.server.failures import NoSuch
from retrieval.server.uploads import Uploads
from retrieval.types import Distinct, Kind, Mode, Request, Sort, Verdict

MOST_PARTS = 32
MOST_HITS = 1000  # a request; more come page by page
MOST_CHARACTERS = 4000
LARGEST = 2**63 - 1  # of what SQLite counts

ItemId = Annotated[int, Field(ge=1, le=LARGEST)]
Words = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Key = Annotated[str, Field(min_length=1, max_length=10_000)]
Share = Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)]
Crop = tuple[Share, Share, Share, Share]
Name = Annotated[str, Field(min_length=1, max_length=255)]
HitCount = Annotated[int, Field(ge=1, le=MOST_HITS)]
Offset = Annotated[int, Field(ge=0, le=2**31)]
Condition = Annotated[
    str, Field(min_length=1, max_length=10_000, description="As vlsearch query --where takes it.")
]
Score = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Area = Annotated[
    str,
    Field(
        pattern=r"^\d{1,5}(,\d{1,5}){3}$",
        description="Of the map (/v1/map): left, bottom, right and top; only what is within is found.",
    ),
]
Cursor = Annotated[str, Field(min_length=1, max_length=256)]
Generation = Annotated[int, Field(ge=0, le=LARGEST)]


class PartBody(BaseModel):
    """A part of a query: a text, an item by id or key, or an uploaded picture; a negative weight avoids it."""

    model_config = ConfigDict(extra="forbid")

    text: Words | None = None
    item: ItemId | None = None
    key: Key | None = None
    upload: Digest | None = None
    crop: Crop | None = Field(
        default=None,
        description="Left, top, width and height of the part of an uploaded picture that counts.",
    )
    weight: Annotated[float, Field(allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _one(self) -> PartBody:
        if sum(one is not None for one in (self.text, self.item, self.key, self.upload)) != 1:
            raise ValueError("give one of text, item, key and upload")
        if self.crop is not None and self.upload is None:
            raise ValueError("a crop goes with upload alone")
        return self

    def part(self, uploads: Uploads) -> Part:
        """Give the part as the engine takes it.

        Raises:
            NoSuch: the uploaded picture is no longer kept.
            QueryError: the text is empty, or the weight 0.
        """
        if self.text is not None:
            return TextPart(self.text, self.weight)
        if self.item is not None:
            return ItemPart(self.item, self.weight)
        if self.key is not None:
            return KeyPart(self.key, self.weight)
        data = uploads.get(self.upload or "")
        if data is None:
            raise NoSuch("the picture to search with is not here any more; send it again")
        return ImagePart(data, self.weight, self.crop)


class ExplainBody(BaseModel):
    """A query whose hit is to be explained."""

    model_config = ConfigDict(extra="forbid")

    parts: list[PartBody] = Field(min_length=1, max_length=MOST_PARTS)
    collection: Name | None = None
    literal: bool = False

    def query(self, uploads: Uploads) -> Query:
        """Give the query as the engine takes it."""
        return Query(tuple(part.part(uploads) for part in self.parts))


class LikeFields(BaseModel):
    """What is asked beside items to be like: fields of ``retrieval.Request``, within what a server allows."""

    collection: Name | None = None
    k: HitCount = 50
    offset: Offset = 0
    find: Kind | None = None
    distinct: Distinct = False
    exact: bool = False
    where: Condition | None = None
    sort: Sort = "score"
    min_score: Score | None = None

    def request(self) -> Request:
        """Give the parameters of the search as the engine takes them.

        Raises:
            FilterError: the condition cannot be read.
        """
        asked = {name: getattr(self, name) for name in _OF_REQUEST & type(self).model_fields.keys()}
        return Request(**{**asked, "where": condition_of(self.where)})


_OF_REQUEST = {one.name for one in fields(Request)}


class SearchFields(LikeFields):
    """What is asked beside the parts of a query."""

    literal: bool = False
    area: Area | None = None
    mode: Mode | None = Field(
        None,
        description="Rank by meaning, by words (all of them, exactly), or by both; by default by both where words "
        "alone are asked for and captions hold them, else by meaning.",
    )
    only: Verdict | None = Field(
        None, description="Leave out hits that are less likely right: sure, likely or doubtful."
    )
    regions: bool = Field(default=True, description="Compare the regions of images too, where they have any.")
    cursor: Cursor | None = Field(
        None, description="The page behind the one whose answer had this, in place of an offset."
    )
    generation: Generation | None = Field(
        None, description="Answer only from this state of the collection, as the pages of one search need it."
    )


class SearchBody(SearchFields, ExplainBody):
    """A search."""


class SearchParameters(SearchFields):
    """A search as the parameters of an address have it."""

    text: list[Words] | None = Field(None, description="Words; repeat it for a sum.")
    item: list[ItemId] | None = Field(None, description="Item ids.")
    upload: list[Digest] | None = Field(None, description="Uploaded pictures.")


async def search_of(asked: Annotated[SearchParameters, Parameter()]) -> SearchBody:
    """Make a search of the parameters of an address.

    Raises:
        QueryError: there are no parts, or too many.
    """
    parts = [
        *(PartBody(text=one) for one in asked.text or ()),
        *(PartBody(item=one) for one in asked.item or ()),
        *(PartBody(upload=one) for one in asked.upload or ()),
    ]
    if not 1 <= len(parts) <= MOST_PARTS:
        raise QueryError(f"give text, item or upload, at most {MOST_PARTS} in all")
    common = {name: getattr(asked, name) for name in SearchFields.model_fields}
    return SearchBody(parts=parts, **common)

"""``--crop``: ask with a part of the query's picture."""

from __future__ import annotations

from dataclasses import replace

import click

from retrieval.errors import QueryError, UsageError
from retrieval.query.parts import Crop, ImagePart, Query, check_crop


class CropType(click.ParamType[Crop]):
    """Four numbers: left, top, width and height."""

    name = "crop"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Crop:
        """Read the numbers."""
        try:
            left, top, width, height = (float(number) for number in str(value).split(","))
        except ValueError:
            self.fail(
                f"{value!r} is not four numbers; write left,top,width,height, such as 0.5,0,0.5,1 or 320,0,320,480",
                param,
                ctx,
            )
        crop = left, top, width, height
        try:
            check_crop(crop)
        except QueryError as error:
            self.fail(str(error), param, ctx)
        return crop


def crop_picture(query: Query, crop: Crop | None) -> Query:
    """Ask with a part of the query's only picture.

    Raises:
        UsageError: there is none, or more than one.
    """
    if crop is None:
        return query
    count = sum(isinstance(part, ImagePart) for part in query.parts)
    if count != 1:
        raise UsageError(f"--crop is of the one picture in a query, and this one has {count or 'none'}")
    parts = (replace(part, crop=crop) if isinstance(part, ImagePart) else part for part in query.parts)
    return replace(query, parts=tuple(parts))

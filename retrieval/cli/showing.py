"""Give the hits of one search to people or programs: printed, or in the desktop's viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.cli.hit_output import Shape, show
from retrieval.cli.opening import open_hits
from retrieval.cli.previews import previews
from retrieval.types import Hit

if TYPE_CHECKING:
    from retrieval.query.engine import SearchEngine


def show_or_open(
    engine: SearchEngine,
    hits: Sequence[Hit],
    shape: Shape,
    null: bool,
    preview: bool | None,
    open_them: bool,
) -> None:
    """Print hits, with small pictures beside them where they are shown; or open them.

    Raises:
        VlsearchError: they cannot be opened.
        UsageError: pictures are wanted, and the output does not go to people at a terminal.
    """
    if open_them:
        open_hits(engine.collection, hits, engine.limits)
        return
    with previews(engine.collection, preview, shape == "list", engine.limits) as shown:
        show(hits, shape, null, shown)

"""Items without a query: their ids in some order, from which pages are read."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.filters.field_sql import field_sql
from retrieval.collection.filters.fields import add_functions
from retrieval.collection.migrations import ATTRIBUTES_SINCE
from retrieval.collection.statement import ReadConnection, SelectIds
from retrieval.errors import UsageError
from retrieval.types import Kind

ListSort = Literal["added", "taken", "name"]
"""The orders in which items are listed."""

LIST_SORTS: tuple[ListSort, ...] = ("added", "taken", "name")


def in_order(
    connection: ReadConnection, schema: int, kind: Kind, ids: NDArray[np.int64], sort: ListSort
) -> NDArray[np.int64]:
    """Put items of a kind into an order; ties go by id.

    Args:
        connection: in a read transaction.
        schema: the catalogue's.
        kind: of the items.
        ids: of the items, ascending int64.
        sort: ``added``: as they came; ``taken``: the newest first, and last those without a date; ``name``: by the
            name of the file, and last those that have none.

    Raises:
        UsageError: there is no such order.
    """
    if sort not in LIST_SORTS:
        raise UsageError(f"sort is {sort!r}; choose one of {', '.join(LIST_SORTS)}")
    if sort == "added":
        return ids
    sql = field_sql(connection)
    if sort == "name":
        add_functions(connection)
        ordered = SelectIds(sql.by_name).array(connection, kind)
        return ordered[np.isin(ordered, ids)]
    by_date = SelectIds(_BY_DATE.format(sql.texts))
    dated = by_date.array(connection) if schema >= ATTRIBUTES_SINCE else np.empty(0, np.int64)
    dated = dated[np.isin(dated, ids)]
    return np.concatenate([dated, np.setdiff1d(ids, dated, assume_unique=True)])


_BY_DATE = (
    "SELECT item_id FROM {} WHERE name_id = "
    "(SELECT id FROM attribute_names WHERE name = 'taken' AND type = 'date') ORDER BY value DESC, item_id"
)

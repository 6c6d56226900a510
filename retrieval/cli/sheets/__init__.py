"""Contact sheets: the hits of a query as one file that stands alone, to look at, keep or send."""

from retrieval.cli.sheets.entries import Drawn
from retrieval.cli.sheets.write import checked_sheet, write_sheet

__all__ = ["Drawn", "checked_sheet", "write_sheet"]

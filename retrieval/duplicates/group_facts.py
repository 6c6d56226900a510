"""Groups of duplicates as JSON."""

from __future__ import annotations

from retrieval.answers import file_path
from retrieval.duplicates.groups import DuplicateCopy, DuplicateGroup


def group_facts(group: DuplicateGroup) -> dict[str, object]:
    """Give the JSON fields of a group: its class, why the first copy is the best, and the copies, the best first."""
    return {
        "class": group.duplicates,
        "why": group.why,
        "copies": [_copy_facts(copy, place == 0) for place, copy in enumerate(group.copies)],
    }


def _copy_facts(copy: DuplicateCopy, best: bool) -> dict[str, object]:
    return {
        "best": best,
        "id": copy.id,
        "uri": copy.uri,
        "path": file_path(copy.uri),
        "key": copy.key,
        "sha256": copy.sha256,
        "width": copy.width,
        "height": copy.height,
        "bytes": copy.bytes,
        "taken": copy.taken,
        "missing": copy.missing,
    }

"""Say which NAMEs of a command mean nothing, whether or not others do."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.errors import CollectionError, UsageError

MOST_NAMES = 10


def check_known(unknown: Sequence[str | int], fault: str, advice: str, others_known: bool) -> None:
    """Refuse names that mean nothing, after what the others mean was done.

    Args:
        unknown: the names.
        fault: what is wrong with them, as a sentence that they end.
        advice: what to do.
        others_known: whether there were others, which meant something.

    Raises:
        UsageError: no name means anything (the command line exits with 2).
        CollectionError: these do not, and others do (it exits with 1).
    """
    if not unknown:
        return
    more = f" and {len(unknown) - MOST_NAMES:,} more" if len(unknown) > MOST_NAMES else ""
    sentence = f"{fault} {', '.join(map(str, unknown[:MOST_NAMES]))}{more}; {advice}"
    raise CollectionError(sentence) if others_known else UsageError(sentence)

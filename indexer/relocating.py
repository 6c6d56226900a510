"""Tell a collection where its pictures have been moved: uris change, and nothing is read or encoded again."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from indexer.store.relocation import MovingRows, find_moving, find_taken, move_rows
from indexer.store.writers import open_place
from retrieval.collection import Collection
from retrieval.collection.moved import Move
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace
from retrieval.shell import shell_command
from retrieval.uris import display, file_uri, is_missing, split_file_uri

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_NAMED = 3  # corpora in a sentence


@dataclass(frozen=True, slots=True)
class Relocated:
    """What has another place now, or would have.

    Attributes:
        items: how many.
        corpora: likewise.
        failures: likewise.
        looked_at: items whose files were looked for in the new place.
        missing: how many of these are not there.
        example: an item's uri before and after; None where there is no item.
    """

    items: int
    corpora: int
    failures: int
    looked_at: int
    missing: int
    example: tuple[str, str] | None


def relocate(
    collection: str | CollectionPlace,
    old: str | Path,
    new: str | Path,
    *,
    dry_run: bool = False,
    timeout: float = 0.0,
) -> Relocated:
    """Change the paths of items and corpora that lay in a folder, or an archive, to another one, in one commit.

    Args:
        collection: its folder, or its address on a server.
        old: where they lay: a path or uri of this or, as the catalogue has it, of another computer.
        new: where they lie.
        dry_run: change nothing, and tell what would change.
        timeout: seconds to wait for another process that writes to the collection.

    Raises:
        CollectionNotFound: there is no collection.
        CollectionLocked: another process writes to it.
        UsageError: a name is empty; nothing lies in ``old``; ``new`` is not there, holds none of the files, or
            has items of its own of the same names.
    """
    move = _move(old, new)
    with open_place(collection, timeout, make=False) as writer:
        with writer.look_up() as connection:
            moving = find_moving(connection, move)
            taken = find_taken(connection, move)
        found = _checked(writer.place, move, moving, taken)
        if not dry_run:
            with writer.catalogue.switch(writer.catalogue.next_generation()) as connection:
                move_rows(connection, move)
        return found


def _move(old: str | Path, new: str | Path) -> Move:
    if not (str(old) and str(new)):
        raise UsageError(
            "the name of a place is empty; name two folders, where the files were and where they are"
        )
    move = Move(_uri(old), _uri(new))
    if move.old == move.new:
        raise UsageError(f"{display(move.old)} is both the old and the new place; name two")
    split = split_file_uri(move.new)
    if split is None or split_file_uri(move.old) is None:
        raise UsageError("only files are moved, not what is on the web; name two folders")
    if not split[0].exists():
        raise UsageError(f"there is no {split[0]}; bring the files there first, or check the path")
    return move


def _uri(name: str | Path) -> str:
    """Give the uri of a place; of a path with a drive's letter, as Windows has it, on other systems too."""
    text = str(name)
    if "://" in text:
        stem = text.rstrip("/")
        return f"{stem}///" if stem == "file:" else stem
    if os.name != "nt" and _DRIVE.match(text):
        return f"file:///{quote(text.replace(os.sep, '/').replace(chr(92), '/')).rstrip('/')}"
    return file_uri(Path(text))


def _checked(collection: CollectionPlace, move: Move, moving: MovingRows, taken: str | None) -> Relocated:
    """Refuse a move that makes no sense."""
    if not (moving.items or moving.corpora or moving.failures):
        raise UsageError(_nothing_there(collection, move))
    if taken is not None:
        dropped = shell_command("delete", display(move.old), "--collection", collection)
        raise UsageError(
            f"the collection has {display(taken)} already, beside what lies in {display(move.old)}; if they are the "
            f"same, drop the old ones with: {dropped}"
        )
    after = [move.uri(uri) for uri in moving.uris]
    missing = sum(map(is_missing, after))
    if after and missing == len(after):
        raise UsageError(
            f"none of {len(after):,} files that were looked for is in {display(move.new)}, such as "
            f"{display(after[0])}; check which folder takes the place of {display(move.old)}"
        )
    example = (moving.uris[0], after[0]) if after else None
    return Relocated(moving.items, moving.corpora, moving.failures, len(after), missing, example)


def _nothing_there(collection: CollectionPlace, move: Move) -> str:
    with Collection.open(collection) as opened:
        corpora = [display(corpus.uri) for corpus in opened.corpora() if split_file_uri(corpus.uri)]
    said = f"nothing in collection {collection} lies in {display(move.old)}"
    if not corpora:
        return f"{said}, nor in any other folder"
    named = ", ".join(corpora[:_NAMED]) + (", ..." if len(corpora) > _NAMED else "")
    listed = shell_command("info", "--corpora", "--collection", collection)
    return f"{said}; its corpora are {named} ({listed})"

"""A shard: one of n disjoint parts of a corpus, by a hash of names, so that machines need not talk to each other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from retrieval.errors import UsageError

MOST_SHARDS = 10_000  # a merge reads them all at once
_SPELLING = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Shard:
    """The part ``number`` (from 1) of ``count`` parts of a corpus; written ``2/4``.

    Raises:
        UsageError: there is no such part.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= MOST_SHARDS:
            raise UsageError(
                f"there is no shard {self}; write i/n, with i from 1 to n and n at most {MOST_SHARDS:,}"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(spelling: str) -> Shard:
    """Parse ``i/n``.

    Raises:
        UsageError: it is spelt otherwise, or there is no such shard.
    """
    found = _SPELLING.fullmatch(spelling)
    if found is None:
        raise UsageError(f"{spelling!r} is not a shard; write i/n, as in 2/8 for the second of eight")
    return Shard(int(found[1]), int(found[2]))


def shard_number(name: str, count: int) -> int:
    """Say which of ``count`` shards, from 1, takes the entry of this name.

    One more than the remainder by ``count`` of the first eight bytes, big-endian, of the sha256 of the name in UTF-8;
    the same on every machine and in every version.
    """
    digest = sha256(name.encode(errors="backslashreplace")).digest()
    return int.from_bytes(digest[:8], "big") % count + 1

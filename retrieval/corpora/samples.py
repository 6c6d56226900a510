"""Samples of a WebDataset: runs of tar members with one key, a member's name up to the first dot of its base."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from retrieval.corpora.corpus import LeftOut
from retrieval.corpora.left_out import REPLACED_MEMBER, is_hidden_or_system, kind_of_file
from retrieval.file_kinds import is_opened_in_place, is_taken
from retrieval.locations.tar_members import Damage, Member, find_repeated, member_path, walk_members
from retrieval.suffixes import suffix_of

_SAMPLE_LIMIT = 1000  # members; a hostile archive could be one endless sample


@dataclass(slots=True)
class Sample:
    """The members that stand together under one key, by what they are for."""

    key: str
    images: list[Member] = field(default_factory=list)
    texts: list[Member] = field(default_factory=list)  # .json before the others

    def add(self, member: Member) -> None:
        """Put a member where it belongs by its suffix."""
        if _is_picture(member.name):
            self.images.append(member)
        elif suffix_of(member.name) == ".json":
            self.texts.insert(0, member)
        else:
            self.texts.append(member)

    def __len__(self) -> int:
        return len(self.images) + len(self.texts)


def read_samples(
    file: BinaryIO, text_suffixes: Collection[str], without_hidden: bool, left_out: LeftOut
) -> Iterator[Sample | Damage]:
    """Read the samples of an archive in their order; after damage, a Damage is the last.

    Of members with one path the last counts, in the place of the first, as unpacking the archive would give.

    Args:
        file: the archive, open and seekable.
        text_suffixes: of the members that belong to samples beside their images.
        without_hidden: leave hidden members and those of systems out.
        left_out: grows by the members that are passed over.

    Raises:
        ValueError: more members than are remembered have a path that occurs twice; the message is a clause.
    """
    size = file.seek(0, 2)
    try:
        repeated = find_repeated(file, size)
    except ValueError as error:
        raise ValueError(f"{error}; pack it again, each once") from error
    return SampleReader(text_suffixes, without_hidden, repeated, left_out).samples(file, size)


class SampleReader:
    """Groups the members of an archive into samples.

    Args:
        text_suffixes: of the members that belong to samples beside their images.
        without_hidden: leave hidden members and those of systems out.
        repeated: the last member of each path that occurs more than once.
        left_out: grows by the members that are passed over.
    """

    def __init__(
        self,
        text_suffixes: Collection[str],
        without_hidden: bool,
        repeated: Mapping[str, Member],
        left_out: LeftOut,
    ) -> None:
        self._text_suffixes, self._without_hidden = text_suffixes, without_hidden
        self._repeated, self._left_out = repeated, left_out
        self._met: set[str] = set()

    def samples(self, file: BinaryIO, size: int) -> Iterator[Sample | Damage]:
        """Read the samples of an archive of ``size`` bytes in their order; after damage, a Damage is the last."""
        sample = Sample("")
        for found in walk_members(file, size):
            if isinstance(found, Damage):
                yield sample
                yield found
                return
            member = self._taken(found)
            if member is None:
                continue
            folder, slash, base = member_path(member.name).rpartition("/")
            key = folder + slash + base.partition(".")[0]
            if key != sample.key or len(sample) >= _SAMPLE_LIMIT:
                yield sample
                sample = Sample(key)
            sample.add(member)
        yield sample

    def _taken(self, member: Member) -> Member | None:
        """Choose the member to read in the place of one that the walk found; None where it is left out."""
        base = member.name.rpartition("/")[2]
        if not base:
            return None  # a folder
        hidden = is_hidden_or_system(base, is_folder=False) if self._without_hidden else None
        is_used = _is_picture(base) or suffix_of(base) in self._text_suffixes
        if hidden or not is_used:
            if hidden or member.fault is None:  # folders and links that nobody would read need no word
                self._left_out[hidden or kind_of_file(base)] += 1
            return None
        path = member_path(member.name)
        last = self._repeated.get(path)
        if last is None:
            return member
        if path in self._met:
            self._left_out[REPLACED_MEMBER] += 1
            return None
        self._met.add(path)
        return Member(member.name, last.offset, last.size, last.fault)


def _is_picture(name: str) -> bool:
    """Whether a member of this name is looked at for pictures; not a video, which has to be a file of its own."""
    return is_taken(name) and not is_opened_in_place(name)

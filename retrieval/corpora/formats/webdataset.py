"""WebDataset tars, read in place (https://github.com/webdataset/webdataset).

Captions stand in a sample's ``.json`` and
``.txt`` members, which may come before or after the image, but next to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from retrieval.corpora.braces import expand_braces
from retrieval.corpora.corpus import Corpus, Entries, LeftOut
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.format import Format
from retrieval.corpora.names import FileNames
from retrieval.corpora.options import CaptionColumn, CorpusOptions
from retrieval.corpora.raw_pairs import raws_beside
from retrieval.corpora.samples import Sample, SampleReader, read_samples
from retrieval.corpora.textfile import LINE_LIMIT, lines_in, unreadable
from retrieval.corpora.values import attributes_of, missing_columns, parse_object, text_at, texts_in
from retrieval.errors import CorpusFormatError
from retrieval.file_kinds import RAW, holds_several, kind_by_name
from retrieval.locations.tar_members import Damage, Member, is_tar
from retrieval.suffixes import suffix_of
from retrieval.types import Attribute, CorpusImage, CorpusText, Entry, Failure, MemberBytes
from retrieval.uris import file_uri

DEFAULT_KEYS = (CaptionColumn("caption"), CaptionColumn("captions"))
"""Keys of JSON members that hold captions unless others are named."""

_SAMPLE_TEXT_LIMIT = 4 * 2**20  # bytes of all texts of a sample
_LINKS_LIMIT = 10_000  # of a sample: texts that describe each of many images
_CHECKED = 200  # samples among which each named key must appear, so that a slip is seen at once
_TEXT_SUFFIXES = (".json", ".txt")


@dataclass(slots=True)
class _SampleTexts:
    """The captions and attributes in the JSON and text members of a sample."""

    texts: list[tuple[str, CorpusText]] = field(default_factory=list)  # with the stem of their member
    attributes: dict[str, dict[str, Attribute]] = field(default_factory=dict)  # by stem
    failures: list[Failure] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)


def open_webdataset(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open one tar, or those that a brace pattern stands for: their images with their captions.

    Captions are the texts under ``caption`` and ``captions`` of a JSON member (under the named keys instead,
    if any are), then the lines of a text member, less those that the JSON has too. A caption is named
    ``member.json/captions/0`` or ``member.txt/L1``. The other JSON keys are attributes. Where a sample has
    several images, a text describes the one that bears its name, else all of them. Of members with one name
    the last counts, in the place of the first: what is read is what unpacking the archive would give.

    Raises:
        CorpusFormatError: an archive is missing or compressed, or a named key is in none of the first 200
            samples that have JSON.
        UsageError: the pattern stands for too many names.
    """
    path = at.path
    archives = [path] if path.exists() else [Path(name) for name in expand_braces(str(path))]
    for archive in archives:
        _check_archive(archive)
    _check_keys(archives[0], options)
    opened = [FileNames(archive) for archive in archives]  # absolute, whatever becomes the working directory
    return Corpus(
        file_uri(path),
        "webdataset",
        lambda left_out: chain.from_iterable(_entries(names, options, left_out) for names in opened),
        _estimate(archives, options),
    )


def _check_archive(archive: Path) -> None:
    if not archive.is_file():
        fault = "is not a regular file" if archive.exists() else "there is no such file"
        raise CorpusFormatError(str(archive), fault, "Name archives that are all there")
    if compression := CorpusPath(archive).compression:
        fault = f"is compressed ({compression}), and members are read in place"
        raise CorpusFormatError(str(archive), fault, "Decompress it first; pictures hardly shrink anyway")


def _check_keys(archive: Path, options: CorpusOptions) -> None:
    """Refuse named keys that no sample has: a run of hours should not end without its captions."""
    if not options.caption_columns:
        return
    seen: set[str] = set()
    with archive.open("rb") as file:
        samples = (
            sample
            for sample in _first_samples(file, archive, options)
            if isinstance(sample, Sample) and sample.texts
        )
        for sample in islice(samples, _CHECKED):
            seen |= _read_texts(file, FileNames(archive), sample, options).keys
    missing = missing_columns(options.caption_columns, seen)
    if missing:
        keys = ", ".join(sorted(seen)[:30]) or "none"
        fault = f"none of its first samples has JSON with the key {', '.join(missing)}; the keys are: {keys}"
        raise CorpusFormatError(str(archive), fault, "Choose with --caption-column")


def _estimate(archives: list[Path], options: CorpusOptions) -> int | None:
    """Estimate the number of samples with images from the first archive's head and the size of all archives."""
    with archives[0].open("rb") as file:
        found = _first_samples(file, archives[0], options)
        samples = (one for one in found if isinstance(one, Sample) and one.images)
        head = list(islice(samples, _CHECKED))
    if not head:
        return None
    last = head[-1].images[-1]
    return max(round(sum(one.stat().st_size for one in archives) * len(head) / (last.offset + last.size)), 1)


def _first_samples(file: BinaryIO, archive: Path, options: CorpusOptions) -> Iterator[Sample | Damage]:
    """Read samples at an archive's beginning, whether or not later members replace theirs."""
    reader = SampleReader(_TEXT_SUFFIXES, options.default_excludes, {}, Counter())
    return reader.samples(file, archive.stat().st_size)


def _entries(names: FileNames, options: CorpusOptions, left_out: LeftOut) -> Entries:
    archive = names.path
    try:
        with archive.open("rb") as file:
            try:
                samples = read_samples(file, _TEXT_SUFFIXES, options.default_excludes, left_out)
            except ValueError as error:
                yield Failure(names.whole, str(error))
                return
            for sample in samples:
                if isinstance(sample, Damage):
                    yield Failure(names.whole, f"damaged at byte {sample.offset:,}: {sample.reason}")
                else:
                    yield from _sample_entries(file, names, sample, options)
    except OSError as error:
        yield Failure(names.whole, unreadable(error))


def _sample_entries(file: BinaryIO, names: FileNames, sample: Sample, options: CorpusOptions) -> Entries:
    found = _read_texts(file, names, sample, options)
    yield from found.failures
    if len(sample.images) * len(found.texts) > max(_LINKS_LIMIT, len(found.texts)):
        fault = f"{len(found.texts):,} captions of {len(sample.images):,} pictures stand under one key"
        yield Failure(names.part(sample.key), f"{fault}; give each picture a key of its own")
        return
    stems = {_stem(member.name) for member in sample.images}
    images, raws = _paired(sample.images)
    for member in images:
        uri, stem = names.part(member.name), _stem(member.name)
        if member.fault:
            yield Failure(uri, member.fault)
            continue
        beside = raws.get(member.name, [])
        attributes: dict[str, Attribute] = (
            {"raw": beside[0] if len(beside) == 1 else beside} if beside else {}
        )
        for of, more in found.attributes.items():
            if of == stem or of not in stems:
                attributes.update(more)
        texts = tuple(text for of, text in found.texts if of == stem or of not in stems)
        location = MemberBytes(names.path, member.name, member.offset, member.size)
        image = CorpusImage(uri, location, None, attributes, may_be_several=holds_several(member.name))
        yield Entry(image, texts)
    if not sample.images:
        reason = "no picture stands next to the caption in the archive; pack it again, sorted by name"
        yield from (Failure(text.uri, reason) for _, text in found.texts)


def _paired(images: Sequence[Member]) -> tuple[list[Member], dict[str, list[str]]]:
    """Give the images of a sample without raw files that have their picture beside them, and these by that picture."""
    raws = [one.name for one in images if kind_by_name(one.name) is RAW]
    beside = raws_beside((one.name for one in images), raws)
    paired = {raw for of_one in beside.values() for raw in of_one}
    bases = {name: [raw.rpartition("/")[2] for raw in of_one] for name, of_one in beside.items()}
    return [one for one in images if one.name not in paired], bases


def _read_texts(file: BinaryIO, names: FileNames, sample: Sample, options: CorpusOptions) -> _SampleTexts:
    found = _SampleTexts()
    room = _SAMPLE_TEXT_LIMIT
    for member in sample.texts:
        uri = names.part(member.name)
        raw = _read_member(file, member, uri, room)
        if isinstance(raw, Failure):
            found.failures.append(raw)
            continue
        room -= len(raw)
        if suffix_of(member.name) == ".json":
            _take_json(raw, uri, _stem(member.name), options, found)
        else:
            _take_lines(raw, uri, _stem(member.name), options.lang, found)
    return found


def _read_member(file: BinaryIO, member: Member, uri: str, room: int) -> bytes | Failure:
    if member.fault:
        return Failure(uri, member.fault)
    if member.size > LINE_LIMIT:
        return Failure(uri, f"a text member is longer than {LINE_LIMIT:,} bytes")
    if member.size > room:
        return Failure(uri, f"the texts of its sample are longer than {_SAMPLE_TEXT_LIMIT:,} bytes")
    file.seek(member.offset)
    return file.read(member.size)


def _take_json(raw: bytes, uri: str, stem: str, options: CorpusOptions, found: _SampleTexts) -> None:
    record = parse_object(raw.removeprefix(b"\xef\xbb\xbf"), uri)
    if isinstance(record, Failure):
        found.failures.append(record)
        return
    columns = options.caption_columns or DEFAULT_KEYS
    found.keys.update(record)
    found.attributes[stem] = attributes_of(record, without={column.name for column in columns})
    for column in columns:
        _take(texts_in(record.get(column.name), uri, column.name, column.lang or options.lang), stem, found)


def _take_lines(raw: bytes, uri: str, stem: str, lang: str | None, found: _SampleTexts) -> None:
    """Take the lines that are not captions yet: img2dataset writes one caption as JSON and as text."""
    known = {text.text.strip() for _, text in found.texts}
    for number, line, fault in lines_in(raw):
        name = f"{uri}/L{number}"
        if fault:
            found.failures.append(Failure(name, fault))
        elif line.strip() not in known:
            _take(text_at(line, name, lang), stem, found)


def _take(texts: Iterator[CorpusText | Failure], stem: str, found: _SampleTexts) -> None:
    for text in texts:
        if isinstance(text, Failure):
            found.failures.append(text)
        else:
            found.texts.append((stem, text))


def _stem(name: str) -> str:
    return name.rpartition(".")[0]


FORMAT = Format(
    name="webdataset",
    title="WebDataset",
    help="Tar archives, read in place; .json and .txt members hold the captions of their picture.",
    uri="#000001.jpg",
    open=open_webdataset,
    suffixes=(".tar",),
    is_content=lambda at: is_tar(at.head),
    options=frozenset({"caption_columns", "default_excludes"}),
    reads="files",
    shown_names=(".tar", "train-{000..005}.tar"),
)

"""A format is added by its record alone: recognition, options, help, documents and messages read it."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from retrieval.cli.corpus_options import CorpusCommand, format_help
from retrieval.corpora import FORMATS, Corpus, CorpusOptions, CorpusPath, Format, open_corpus
from retrieval.corpora.formats.lines import read_captions
from retrieval.corpora.names import FileNames
from retrieval.errors import UsageError
from retrieval.types import Entry, Failure
from tests.retrieval.corpora.corpus_reading import Read, write

ROOT = Path(__file__).resolve().parents[3]


def open_toy(at: CorpusPath, options: CorpusOptions) -> Corpus:
    names = FileNames(at.path)

    def entries() -> Iterator[Entry | Failure]:
        found = read_captions(names, options.lang)
        next(found)
        yield from found

    return Corpus(names.whole, "toy", lambda _: entries())


TOY = Format(
    name="toy",
    title="toy captions",
    help="Captions below a line that says toy.",
    uri="#L2",
    open=open_toy,
    suffixes=(".toy",),
    is_content=lambda at: at.head.startswith(b"toy\n"),
    options=frozenset({"split"}),
)
WITH_TOY = (TOY, *FORMATS)


@pytest.mark.parametrize("name", ["captions.toy", "captions.txt", "captions"])
def test_it_is_recognised_by_its_suffix_or_its_content_and_opened(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "toy\na dog\na cat\n")

    corpus = open_corpus(str(path), CorpusOptions(), WITH_TOY)

    assert corpus.format == "toy"
    assert Read(corpus.entries()).words == ["a dog", "a cat"]


def test_it_is_opened_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "captions.csv", "toy\na dog\n")

    corpus = open_corpus(str(path), CorpusOptions(format="toy"), WITH_TOY)

    assert Read(corpus.entries()).words == ["a dog"]


def test_nobody_else_knows_it(tmp_path: Path) -> None:
    path = write(tmp_path / "captions.txt", "toy\na dog\n")

    assert open_corpus(str(path), CorpusOptions()).format == "lines"
    with pytest.raises(UsageError, match="no format 'toy'"):
        open_corpus(str(path), CorpusOptions(format="toy"))


def test_its_options_are_those_of_its_record(tmp_path: Path) -> None:
    path = write(tmp_path / "captions.toy", "toy\na dog\n")

    open_corpus(str(path), CorpusOptions(split="test"), WITH_TOY)
    with pytest.raises(UsageError, match=r"--exclude has no meaning for .*, read as toy"):
        open_corpus(str(path), CorpusOptions(exclude=("*",)), WITH_TOY)


def test_messages_name_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the formats are toy, folder"):
        open_corpus(str(tmp_path), CorpusOptions(format="xml"), WITH_TOY)
    with pytest.raises(UsageError, match=r"what can be read: toy captions \(\.toy\), a folder"):
        open_corpus(str(write(tmp_path / "x.md", "# x")), CorpusOptions(), WITH_TOY)


def test_a_suffix_that_several_formats_have_leaves_the_choice_to_the_content(tmp_path: Path) -> None:
    rival = Format("rival", "rival captions", "Rival.", "#L1", open_toy, (".toy",), lambda _: False)
    path = write(tmp_path / "captions.toy", "other\n")

    with pytest.raises(UsageError, match="is neither toy captions nor rival captions"):
        open_corpus(str(path), CorpusOptions(), (TOY, rival, *FORMATS))


def test_help_texts_and_documents_list_it() -> None:
    class ToyCommand(CorpusCommand):
        formats = WITH_TOY

    @click.command(cls=ToyCommand)
    def index() -> None:
        """Index."""

    shown = CliRunner().invoke(index, ["--help"]).stdout
    table = runpy.run_path(str(ROOT / "docs" / "regenerate.py"))["format_table"](WITH_TOY)

    assert "\n  toy         Captions below a line that says toy.\n" in shown
    assert format_help(WITH_TOY).startswith("Read CORPUS as one of toy, folder, ")
    assert "| `.toy` | `toy` | Captions below a line that says toy. | `...#L2` |\n" in table

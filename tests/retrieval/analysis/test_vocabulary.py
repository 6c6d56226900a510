"""Vocabularies: what a file of names says, and the sentence for each that is not one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.analysis import vocabulary
from retrieval.analysis.vocabulary import VocabularyName, find_vocabulary, read_vocabulary
from retrieval.errors import UsageError
from tests.builders import HashEncoder


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "names.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_bundled_names_are_in_english_and_chinese_and_each_is_there_once() -> None:
    names = find_vocabulary(None).names

    assert 400 <= len(names) <= 800
    assert all(name.name.isascii() and name.other is not None for name in names)
    assert all(any("\u4e00" <= character <= "\u9fff" for character in name.other or "") for name in names)
    assert len({text for name in names for text in name.texts}) == 2 * len(names)


def test_a_line_is_a_name_or_a_name_a_tab_and_another_language(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff# birds\nowl\teule\n\n  red   kite \nOWL\nwren\t\n")

    assert read_vocabulary(path).names == (
        VocabularyName("owl", "eule"),
        VocabularyName("red kite"),
        VocabularyName("wren"),
    )


def test_files_with_other_names_are_called_otherwise(tmp_path: Path) -> None:
    first = read_vocabulary(written(tmp_path, "owl")).called
    second = read_vocabulary(written(tmp_path, "wren")).called

    assert first.startswith("names ")
    assert first != second


def test_names_of_a_program_are_a_vocabulary() -> None:
    found = find_vocabulary(["owl", "wren", "Owl"])

    assert [name.name for name in found.names] == ["owl", "wren"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has 0 names; give 1 to 10,000"),
        ("# nothing\n\n", "has 0 names"),
        ("owl\na\tb\tc", "names.txt:2 has 2 tabs"),
        ("owl\n" + "x" * 101, r"names.txt:2: .* is not a name; a name has 1 to 100 characters"),
        ("\towl", "names.txt:1: '' is not a name"),
        ("owl\x1b[31m", "is not a name"),
        (b"\xff\xfeo\0", "not UTF-8"),
    ],
)
def test_a_file_that_is_not_a_vocabulary_is_refused_with_the_line(
    tmp_path: Path, text: str | bytes, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_vocabulary(written(tmp_path, text))


def test_a_file_that_is_gone_too_large_or_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_vocabulary(tmp_path / "gone.txt")
    monkeypatch.setattr(vocabulary, "MOST_NAMES", 2)
    with pytest.raises(UsageError, match="has 3 names; give 1 to 2"):
        read_vocabulary(written(tmp_path, "a\nb\nc"))
    monkeypatch.setattr(vocabulary, "LARGEST_BYTES", 4)
    with pytest.raises(UsageError, match="is larger than"):
        read_vocabulary(written(tmp_path, "owl\nwren"))


def test_each_name_has_a_vector_in_each_language() -> None:
    encoder = HashEncoder()

    bundled = find_vocabulary(None)
    first = bundled.names[0]
    both = bundled.vectors(encoder, "both")

    assert both[0].tolist() == encoder.encode_texts(first.texts).tolist()
    assert {rows.shape for rows in both} == {(2, 16)}
    assert bundled.vectors(encoder, "other")[0].tolist() == both[0][1:].tolist()
    assert bundled.vectors(encoder)[0].tolist() == both[0][:1].tolist()


def test_names_of_another_vocabulary_are_left_out_in_any_language_and_case() -> None:
    bundled = find_vocabulary(None)

    rest = bundled.without(find_vocabulary(["DOG", "猫", "unicorn"]))

    assert {name.name for name in bundled.names} - {name.name for name in rest.names} == {"dog", "cat"}
    assert bundled.without(bundled).vectors(HashEncoder()) == []


def test_names_are_compared_in_languages_that_the_model_knows() -> None:
    hash_identity = HashEncoder().identity
    bundled = find_vocabulary(None)

    assert bundled.languages_for(hash_identity, is_calibrated=True) == "both"
    assert bundled.languages_for(hash_identity, is_calibrated=False) == "first"
    chinese = replace(hash_identity, family="chinese-clip")
    assert bundled.languages_for(chinese, is_calibrated=False) == "other"
    assert find_vocabulary(["owl"]).languages_for(chinese, is_calibrated=True) == "first"

"""Which columns of a table are read, what a glob leaves out, and what kinds of files there are, against plain twins."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.corpora.columns import CAPTION_NAMES, IMAGE_NAMES, Columns, choose_columns, has_usual_columns
from retrieval.corpora.exclude import excluder
from retrieval.corpora.left_out import is_hidden_or_system, kind_of_file
from retrieval.corpora.options import CaptionColumn, CorpusOptions, parse_caption_column
from retrieval.errors import CorpusFormatError, UsageError
from retrieval.suffixes import IMAGE_SUFFIXES

UNUSUAL = st.sampled_from(["id", "width", "split", "licence", "Ünknown"])
IMAGE = st.sampled_from(IMAGE_NAMES)
CAPTION = st.sampled_from(CAPTION_NAMES)
CASES = st.sampled_from([str.lower, str.upper, str.title])


@given(
    st.lists(UNUSUAL, unique=True, max_size=3),
    st.none() | IMAGE,
    st.none() | CAPTION,
    CASES,
    st.randoms(use_true_random=False),
)
def test_columns_with_a_usual_name_are_found_in_any_case_and_place(
    others: list[str], image: str | None, caption: str | None, case: object, random: object
) -> None:
    image, caption = (None if name is None else case(name) for name in (image, caption))  # type: ignore[operator]
    names = [*others, *(name for name in (image, caption) if name is not None)]
    random.shuffle(names)  # type: ignore[attr-defined]  # random.Random

    if image is None and caption is None:
        with pytest.raises(CorpusFormatError, match="no column with a usual name"):
            choose_columns("a.csv:1", names, CorpusOptions())
        return
    found = choose_columns("a.csv:1", names, CorpusOptions())

    assert found == Columns(image, () if caption is None else (CaptionColumn(caption),))
    assert found.used == {name for name in (image, caption) if name is not None}
    assert has_usual_columns(names) == (image is not None and caption is not None)


@given(st.lists(IMAGE, min_size=2, max_size=3, unique=True))
def test_two_usual_names_are_a_choice_that_the_user_makes(names: list[str]) -> None:
    with pytest.raises(CorpusFormatError, match=r"could all be meant.* Choose with --image-column"):
        choose_columns("a.csv:1", names, CorpusOptions())

    assert choose_columns("a.csv:1", names, CorpusOptions(image_column=names[1])).image == names[1]


@given(st.lists(UNUSUAL, min_size=1, max_size=5), UNUSUAL)
def test_a_named_column_stands_there_once(names: list[str], wanted: str) -> None:
    options = CorpusOptions(caption_columns=(CaptionColumn(wanted, "en"),))

    if names.count(wanted) == 1:
        assert choose_columns("a.csv:1", names, options).captions == (CaptionColumn(wanted, "en"),)
    else:
        with pytest.raises(CorpusFormatError, match=f"(no|more than one) column '{wanted}'"):
            choose_columns("a.csv:1", names, options)


def test_an_error_lists_no_more_than_thirty_columns() -> None:
    with pytest.raises(CorpusFormatError, match=r"c29 and 470 more"):
        choose_columns("a.csv:1", [f"c{number}" for number in range(500)], CorpusOptions())


@given(st.text("ab:-_", min_size=1, max_size=8), st.none() | st.sampled_from(["en", "zh-Hans", "pt-BR"]))
def test_a_column_and_its_language_are_read_back_from_their_spelling(name: str, lang: str | None) -> None:
    spelling = f"{name}:{lang or ''}"

    assert parse_caption_column(spelling) == CaptionColumn(name, lang)


@pytest.mark.parametrize("lang", ["", "e", "english", "en_US", "en-", "日本", "e1"])
def test_a_language_is_spelt_like_a_tag(lang: str) -> None:
    with pytest.raises(UsageError, match="is not a language tag"):
        CorpusOptions(lang=lang)
    with pytest.raises(UsageError, match="is not a language tag"):
        CorpusOptions(caption_columns=(CaptionColumn("c", lang),))


# Globs


def naive(glob: str, path: str) -> bool:
    """Whether a glob without brackets leaves a path out, by trying every way to match it."""
    parts, steps = path.split("/"), glob.strip("/").split("/")
    if "/" not in glob.rstrip("/"):
        return name_matches(steps[0], parts[-1])
    return parts_match(steps, parts)


def parts_match(steps: list[str], parts: list[str]) -> bool:
    if not steps:
        return not parts
    if steps[0] == "**":
        return (
            any(parts_match(steps[1:], parts[at:]) for at in range(len(parts) + 1))
            if steps[1:]
            else bool(parts)
        )
    return bool(parts) and name_matches(steps[0], parts[0]) and parts_match(steps[1:], parts[1:])


def name_matches(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(name_matches(pattern[1:], name[at:]) for at in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and name_matches(pattern[1:], name[1:])


NAMES = st.text("ab.", min_size=1, max_size=3)
STEPS = st.text("ab.*?", min_size=1, max_size=3).filter(lambda step: "**" not in step) | st.just("**")


@settings(max_examples=300)
@given(st.lists(STEPS, min_size=1, max_size=3), st.booleans(), st.lists(NAMES, min_size=1, max_size=3))
def test_a_glob_leaves_out_what_the_naive_matcher_matches(
    steps: list[str], rooted: bool, parts: list[str]
) -> None:
    glob = ("/" if rooted else "") + "/".join(steps)
    if steps == ["**"] or any(one == other == "**" for one, other in pairwise(steps)):
        return  # all of it, and twice any number of folders

    assert excluder([glob])("/".join(parts)) == naive(glob, "/".join(parts))


@given(st.text(max_size=8), st.lists(NAMES, min_size=1, max_size=3).map("/".join))
def test_any_text_is_a_glob(glob: str, path: str) -> None:
    assert excluder([glob])(path) in (True, False)


@given(st.text("ab()+.^$|{}\\ #", min_size=1, max_size=6))
def test_characters_of_regular_expressions_stand_for_themselves(name: str) -> None:
    is_excluded = excluder([name])

    assert is_excluded(name)
    assert is_excluded(f"folder/{name}")
    assert not is_excluded(f"{name}x")


# What is left out


@given(st.text("ab.", max_size=4), st.sampled_from(sorted(IMAGE_SUFFIXES)))
def test_a_name_of_an_image_is_no_kind_of_other_file(stem: str, suffix: str) -> None:
    assert kind_of_file(f"x{stem}{suffix}") in ("other file",)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.CR2", "RAW picture"), ("a.mov", "video"), ("a.mp3", "audio file"), ("a.psd", "layered picture"),
        ("a.svg", "drawing"), ("a.jxl", "JPEG XL picture"), ("a.jp2", "unsupported picture"),
        ("a.pdf", "PDF"), ("a.docx", "document"),
        ("a.json", "text file"), ("a.xmp", "sidecar file"), ("a.zip", "archive"), ("a.sqlite", "table"),
        ("a", "other file"), (".jpg", "other file"), ("a.unheard", "other file"),
    ],
)  # fmt: skip
def test_kinds_of_files_have_names_that_a_reader_understands(name: str, kind: str) -> None:
    assert kind_of_file(name) == kind


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", ".Trash-1000", ".thumbnails", "Lightroom.lrdata"],
)
def test_folders_of_devices_and_systems_are_left_out(name: str) -> None:
    assert is_hidden_or_system(name, is_folder=True) == "system folder"


@given(NAMES)
def test_what_begins_with_a_dot_is_hidden_and_what_does_not_is_read(name: str) -> None:
    for is_folder, kind in ((True, "hidden folder"), (False, "hidden file")):
        assert is_hidden_or_system(name, is_folder) == (kind if name.startswith(".") else None)

"""The family of errors: drawn as it is, each a sentence, and whole after the way back from a worker process."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

import retrieval
from retrieval import errors
from retrieval.errors import (
    AlbumTaken,
    CollectionDamaged,
    CollectionEmpty,
    CollectionLocked,
    CollectionNotFound,
    CollectionTooNew,
    CollectionUnreachable,
    CorpusFormatError,
    IdentityMismatch,
    ImageTooLarge,
    MissingExtra,
    NoSuchAlbum,
    NoSuchImage,
    NothingOfKind,
    PlacedQueryError,
    QueryError,
    ServerError,
    UsageError,
    VlsearchError,
)

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, VlsearchError)
}
HERE = Path("a b/c'd")
FACTS = {
    CorpusFormatError: ("a.csv:3", "has no column image", "Name a column"),
    PlacedQueryError: ("queries.txt:7", QueryError("the query is empty")),
    NothingOfKind: (HERE, "image"),
    AlbumTaken: (HERE, "dogs"),
    NoSuchAlbum: (HERE, "dogs"),
    NoSuchImage: (HERE,),
    MissingExtra: ("training adapters", "lora"),
    CollectionNotFound: (HERE,),
    CollectionEmpty: (HERE,),
    CollectionDamaged: (HERE, "a segment is cut short"),
    CollectionTooNew: (HERE, 9, 5),
    CollectionLocked: (HERE,),
    CollectionUnreachable: (HERE, "it does not answer"),
    IdentityMismatch: (HERE, "mini", "clip-b32", "weights a against b"),
    ImageTooLarge: (3 * 2**30,),
    ServerError: ("http://127.0.0.1:8642", "it does not answer"),
}
EVERY = [cls(*FACTS.get(cls, ("something is wrong",))) for cls in CLASSES.values()]


def drawn_tree() -> dict[str, str]:
    """Each class of the drawing in the module's docstring, and the one that it hangs from."""
    above: list[str] = []
    parents = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.fullmatch(r"([│├└─ ]*)([A-Z]\w+)(?:\s\s+.*)?", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        above[depth:] = [found[2]]
        if depth:
            parents[found[2]] = above[depth - 1]
    return parents


def test_the_drawing_of_the_family_is_the_family() -> None:
    family = {name: cls.__bases__[0].__name__ for name, cls in CLASSES.items() if cls is not VlsearchError}

    assert drawn_tree() == family


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_whole_from_another_process(error: VlsearchError) -> None:
    back = pickle.loads(pickle.dumps(error))

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.in_shell() == error.in_shell()
    assert {name: str(value) for name, value in vars(back).items()} == {
        name: str(value) for name, value in vars(error).items()
    }


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line_of_words(error: VlsearchError) -> None:
    for said in (str(error), error.in_shell()):
        assert said
        assert "\n" not in said
        assert "None" not in said


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_the_facts_of_an_error_are_its_attributes(error: VlsearchError) -> None:
    facts = FACTS.get(type(error), ())

    for fact in facts:
        assert fact in vars(error).values()


def test_every_public_error_is_of_the_family_and_can_be_caught_as_one() -> None:
    public = [name for name in retrieval.__all__ if name in CLASSES]

    assert {"VlsearchError", "UsageError", "CollectionError", "QueryError"} <= set(public)
    for name in public:
        assert issubclass(getattr(retrieval, name), VlsearchError)


def test_mistakes_of_a_user_are_usage_errors_and_states_of_a_collection_are_not() -> None:
    assert issubclass(QueryError, UsageError)
    assert issubclass(CorpusFormatError, UsageError)
    assert not issubclass(CollectionNotFound, UsageError)


def test_commands_in_messages_can_be_pasted_whatever_the_names() -> None:
    quoted = """'a b/c'"'"'d'"""

    assert str(CollectionNotFound(HERE)).endswith(f"vlsearch index CORPUS --collection {quoted}")
    assert str(CollectionDamaged(HERE, "x")).endswith(f"vlsearch doctor --collection {quoted}")
    assert f"vlsearch reindex --model clip --collection {quoted}" in str(
        IdentityMismatch(HERE, "mini", "clip", "d")
    )


def test_a_model_that_changed_under_its_name_is_told_from_another_model() -> None:
    same = str(IdentityMismatch(HERE, "mini", "mini", "weights a against b"))
    other = str(IdentityMismatch(HERE, "mini", "clip", "weights a against b"))

    assert "has changed since" in same
    assert "Bring the old one back" in same
    assert "but the encoder at hand is clip" in other


def test_python_and_the_shell_have_their_own_words_where_they_differ() -> None:
    nothing = NothingOfKind(HERE, "text")
    assert "holds no texts" in str(nothing)
    assert str(nothing).endswith("find='image'")
    assert nothing.in_shell().endswith("--find image")
    assert NoSuchImage(Path("x y")).in_shell().endswith("write 'text:x y'")
    placed = PlacedQueryError("query 3", nothing)
    assert placed.in_shell() == f"query 3: {nothing.in_shell()}"
    assert str(placed) == f"query 3: {nothing}"


@pytest.mark.parametrize(
    ("needed", "said"), [(3 * 2**30, "about 3.0 GiB"), (None, "more memory to decode than")]
)
def test_a_picture_that_is_too_large_names_the_option(needed: int | None, said: str) -> None:
    assert said in str(ImageTooLarge(needed))
    assert "--max-memory" in str(ImageTooLarge(needed))


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [("", "OSError", "OSError"), ("\n \n", "OSError", "OSError"), ("\na: b\nc\n", "a: b", "c")],
)
def test_a_line_of_a_library_s_error_is_never_empty(said: str, first: str, last: str) -> None:
    assert (errors.first_line(OSError(said)), errors.last_line(OSError(said))) == (first, last)

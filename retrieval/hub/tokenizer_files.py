"""Tokenizers from files of strangers: what they could spend time and memory on is looked at before they are built.

A ``tokenizer.json`` is a small program: regular expressions (backtracking, without a limit of its own), replacements
that multiply a text, templates that repeat it. Published tokenizers of the families use little of that, and little is
allowed here. The library's Rust code may panic, which Python sees as a BaseException.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.errors import ModelError, first_line
from retrieval.json_files import parse_object, read_regular

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE_BYTES = 128 * 2**20  # MetaCLIP 2's, of 901,629 pieces, has about 60 MB
TEXT_CHARACTERS = 2**14  # of a text that is tokenized, at least
CHARACTERS_A_TOKEN = 32
_STEPS = 16  # of a normalizer or a pre-tokenizer
_GROWTH = 8  # times a text's length
_AFFIX = 16  # characters of what is put before or behind pieces
_PIECE = 256  # characters; Gemma's longest are runs of 31 blanks
_TEMPLATE = 64  # parts
_WORD = 1000  # characters of a word that WordPiece cuts up; BERT has 100
_AGAIN = "download the model again, or use another one"

_EXPRESSION = 1000  # characters
_REGEX = re.compile(
    r"(?P<one>\\[pP]\{\^?\w+\}|\\[^0-9gkKXRGpP]|\[\^?(?:\\.|[^\[\]\\])+\]|[^\\()\[\]{}*+?|])"
    r"|(?P<more>[*+]\??|\{[0-9]{1,2}(?:,[0-9]{0,2})?\}\??)|(?P<maybe>\?\??)|(?P<or>\|)",
    re.DOTALL,
)


def is_quick(expression: str) -> bool:
    """Whether a regular expression takes time that is at most quadratic in the text.

    Those of published tokenizers are alternatives of characters and classes with one repetition each, without groups
    and look-around. Nested repetitions, which backtrack for ever, cannot be written so.
    """
    place = repeats = options = 0
    after_one = False
    while place < len(expression):
        found = _REGEX.match(expression, place)
        if found is None or (found.lastgroup in ("more", "maybe") and not after_one):
            return False
        repeats += found.lastgroup == "more"
        options += found.lastgroup == "maybe"
        if repeats > 1 or options > 2:
            return False
        if found.lastgroup == "or":
            repeats = options = 0
        after_one = found.lastgroup == "one"
        place = found.end()
    return len(expression) <= _EXPRESSION


def cut(text: str, context: int) -> str:
    """Cut a text to the longest prefix that can influence its first ``context`` tokens.

    What is cut off lies thousands of characters behind the last token that counts; a text of 100 MB would take the
    tokenizer minutes and gigabytes, and only its first ``context`` tokens are looked at.
    """
    return text[: max(TEXT_CHARACTERS, CHARACTERS_A_TOKEN * context)]


def load_tokenizer(file: Path) -> Tokenizer:
    """Load the tokenizer in a ``tokenizer.json``, without truncation and padding.

    Raises:
        ModelError: the file is missing, damaged, or asks for what no published tokenizer needs.
    """
    from tokenizers import Tokenizer

    data = check_tokenizer(file)
    with tokenizer_faults(str(file)):
        tokenizer = Tokenizer.from_str(data.decode())
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer


def check_tokenizer(file: Path) -> bytes:
    """Read a ``tokenizer.json`` after checking that it can be built and used in bounded time and memory.

    Raises:
        ModelError: the file is missing or damaged, or its tokenizer could take unbounded time or memory.
    """
    try:
        data = read_regular(file, FILE_BYTES)
        _check(parse_object(data))
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}; give a complete model folder") from error
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise ModelError(f"{file} is not a tokenizer that vlsearch can use ({error}); {_AGAIN}") from error
    return data


def check_charsmap(table: bytes) -> None:
    """Refuse a normalization table of SentencePiece that replaces a character by a long text.

    The longest in NFKC is of 33 bytes; a text grows by no more than the longest run without a NUL.

    Raises:
        ValueError: it is one.
    """
    size = int.from_bytes(table[:4], "little")
    if len(table) < 4 or size > len(table) - 4 or size % 4:
        raise ValueError("its normalization table is damaged")
    if max(map(len, table[4 + size :].split(b"\0"))) > _PIECE:
        raise ValueError("its normalization table replaces characters by long texts")


def check_pieces(pieces: Iterable[str]) -> None:
    """Refuse a vocabulary with very long pieces, which make the Viterbi segmentation of a text slow.

    Raises:
        ValueError: it is one.
    """
    if max(map(len, pieces), default=0) > _PIECE:
        raise ValueError(f"it has a piece of more than {_PIECE} characters")


@contextmanager
def tokenizer_faults(place: str) -> Iterator[None]:
    """Turn anything that the tokenizers package raises in the block into a ModelError that names the file.

    Raises:
        ModelError: in place of anything that the package raises, a panic of its Rust code included.
    """
    try:
        yield
    except (ModelError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = first_line(error)
        raise ModelError(f"{place}: its tokenizer cannot be used ({reason}); {_AGAIN}") from error


def _check(facts: Mapping[str, Any]) -> None:
    """Refuse a tokenizer whose steps could take unbounded time or memory.

    Raises:
        ValueError: says what, in a clause; TypeError and AttributeError come of values of other types.
    """
    growth = 1
    for step in _flat(facts.get("normalizer"), "normalizers"):
        growth *= _growth(step)
    if growth > _GROWTH:
        raise ValueError(f"its normalizer makes texts {growth} times as long")
    for step in _flat(facts.get("pre_tokenizer"), "pretokenizers"):
        _pattern(step)
    for step in _flat(facts.get("post_processor"), "processors"):
        if max(len(step.get("single") or ()), len(step.get("pair") or ())) > _TEMPLATE:
            raise ValueError("its template has too many parts")
    _check_model(facts.get("model", {}))


def _flat(step: Any, key: str) -> list[Mapping[str, Any]]:
    """Flatten a sequence of steps, however deeply nested."""
    waiting, steps = ([] if step is None else [step]), []
    while waiting:
        first = waiting.pop(0)
        inner = first.get(key)
        if inner is None:
            steps.append(first)
        else:
            waiting = [*inner, *waiting]
        if len(steps) + len(waiting) > _STEPS:
            raise ValueError(f"its {key} are more than {_STEPS}")
    return steps


def _growth(step: Mapping[str, Any]) -> int:
    """Bound how many times longer a normalizer step makes a text; NFKC and the like are not counted."""
    kind = step.get("type")
    if kind == "Precompiled":
        try:
            check_charsmap(base64.b64decode(step["precompiled_charsmap"] or "", validate=True))
        except binascii.Error as error:
            raise ValueError("its normalization table is damaged") from error
    if kind == "Prepend" and len(step["prepend"]) > _AFFIX:
        raise ValueError("it puts a long text before each text")
    if kind != "Replace":
        return 1
    _pattern(step)
    literal, content = step["pattern"].get("String"), step["content"]
    if literal == "":
        raise ValueError("it replaces the empty text")
    return max(1, -(-len(content) // len(literal or "x")))


def _pattern(step: Mapping[str, Any]) -> None:
    pattern = step.get("pattern")
    known = pattern is None or isinstance(pattern, dict)
    if known and pattern is not None and "Regex" in pattern:
        known = is_quick(pattern["Regex"])
    if not known:
        raise ValueError(
            f"its regular expression {str(pattern)[:120]!r} may take for ever; it has groups or repetitions"
        )


def _check_model(model: Mapping[str, Any]) -> None:
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        if len(model.get(name) or "") > _AFFIX:
            raise ValueError(f"its {name} is longer than {_AFFIX} characters")
    if (model.get("max_input_chars_per_word") or 0) > _WORD:
        raise ValueError(f"its words may be longer than {_WORD} characters")
    if model.get("dropout"):
        raise ValueError("it drops merges at random")
    vocabulary = model.get("vocab") or ()
    check_pieces(vocabulary if isinstance(vocabulary, dict) else (entry[0] for entry in vocabulary))

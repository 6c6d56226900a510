"""Annotation files of published data: UTF-8 lines, tables and JSON; errors name file and line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrieval.errors import CorpusFormatError, EvaluationError
from retrieval.suffixes import is_image_name

_TOO_DEEP = "this is JSON that is nested too deeply"
_NAME_AND_NUMBER = re.compile(r"(?P<name>[^\s#]+)(#\S+)?")


def find_file(corpus: Path, names: tuple[str, ...], purpose: str) -> Path:
    """``corpus`` itself where it is a file, else the first of ``names`` (globs) in that folder.

    Raises:
        EvaluationError: there is none.
    """
    if corpus.is_file():
        return corpus
    if not corpus.exists():
        raise EvaluationError(f"{corpus} does not exist; give {purpose}")
    for name in names:
        for path in sorted(corpus.glob(name)):
            return path
    raise EvaluationError(f"{corpus} holds no {' or '.join(names)}; give {purpose}")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, as (number from 1, text without its end).

    Raises:
        CorpusFormatError: the file is not UTF-8 or cannot be read.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            for number, line in enumerate(file, 1):
                if text := line.rstrip("\n"):
                    yield number, text
    except UnicodeDecodeError as error:
        raise CorpusFormatError(
            f"{path}:{number + 1}", "the file is not UTF-8", "Convert it to UTF-8"
        ) from error
    except OSError as error:
        raise CorpusFormatError(
            str(path), f"it cannot be read ({error.strerror})", "Check the path"
        ) from error


def read_json(path: Path) -> Any:
    """The JSON in a file.

    Raises:
        CorpusFormatError: it is not JSON, is not UTF-8, or cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise CorpusFormatError(
            f"{path}:{error.lineno}", f"this is not JSON ({error.msg})", "Download it again"
        ) from error
    except RecursionError as error:
        raise CorpusFormatError(str(path), _TOO_DEEP, "Download it again") from error
    except UnicodeDecodeError as error:
        fault = "this is not JSON (it is not UTF-8)"
        raise CorpusFormatError(str(path), fault, "Give the protocol's file as it was published") from error
    except OSError as error:
        raise CorpusFormatError(
            str(path), f"it cannot be read ({error.strerror})", "Check the path"
        ) from error


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects, one a line, as (line number, object)."""
    for number, line in read_lines(path):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise CorpusFormatError(
                f"{path}:{number}", f"this is not JSON ({error.msg})", "Download it again"
            ) from error
        except RecursionError as error:
            raise CorpusFormatError(f"{path}:{number}", _TOO_DEEP, "Download it again") from error
        if not isinstance(value, dict):
            raise CorpusFormatError(f"{path}:{number}", "this is not a JSON object", "Download it again")
        yield number, value


def read_captions(path: Path, separator: str | None = "\t") -> Iterator[tuple[int, str, str]]:
    """Lines ``NAME#N <separator> caption``, as (line number, NAME#N, caption).

    Raises:
        CorpusFormatError: a line has one column, or the captions stand in the wrong one.
    """
    for number, line in read_lines(path):
        columns = line.split(separator, 1)
        place = f"{path}:{number}"
        if len(columns) < 2 or not columns[1].strip():
            raise CorpusFormatError(
                place, "there is no caption on this line", "Lines are NAME#N, a separator, the caption"
            )
        name, caption = columns[0], columns[1].strip()
        if " " in name.strip() or (_names_image(caption) and not _names_image(name)):
            fault = (
                f"the first column holds {name[:40]!r}, which is not a picture's name: captions are in "
                f"the wrong column"
            )
            raise CorpusFormatError(place, fault, "Put NAME#N first and the caption second")
        yield number, name, caption


def _names_image(text: str) -> bool:
    """Whether a text is the name of an image, with or without the number of a caption behind ``#``."""
    found = _NAME_AND_NUMBER.fullmatch(text)
    return found is not None and is_image_name(found["name"])


def read_ids(path: Path) -> list[str]:
    """Names, one a line.

    Raises:
        CorpusFormatError: a name comes twice.
    """
    names: dict[str, int] = {}
    for number, line in read_lines(path):
        name = line.strip()
        if name in names:
            raise CorpusFormatError(
                f"{path}:{number}", f"{name} is listed twice, first on line {names[name]}", "Remove one"
            )
        names[name] = number
    return list(names)

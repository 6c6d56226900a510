"""What a text asks for and what it excludes, in English and Chinese: ``a dog without a ball``, ``没有汽车的街道``.

An encoder sees the words of what is to be left out and finds just that: of the first ten pictures for "X without Y",
a third shows both. So a text is split by a few rules, not by a model, and what is excluded is subtracted with the
weight :data:`WEIGHT`. Texts that no rule fits stay as they are, to the bit. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from retrieval.query.parts import Part, Query, TextPart

WEIGHT = 0.5
"""Of each excluded text against the text that is wanted; measured by ``python -m benchmarks.search.without``."""

MOST_CHARACTERS = 300  # a longer text is a description and no request


class _Pattern:
    """A regular expression that is compiled when it is first used: most queries need none, and all took 7 ms."""

    def __init__(self, expression: str, flags: re.RegexFlag = re.NOFLAG) -> None:
        self._expression, self._flags = expression, flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The expression, compiled."""
        return re.compile(self._expression, self._flags)


_ENGLISH_MARK = (
    r"(?:[,;]?\s+(?:but\s+|and\s+)?(?:without|with\s+no|with\s+neither|except(?:\s+for)?|excluding|free\s+of)"
    r"|[,;]?\s+(?:but|and)\s+(?:not|no)|[,;]\s*(?:not|no))\s+"
)
_ENGLISH = _Pattern(rf"(?P<wanted>\S.*?){_ENGLISH_MARK}(?P<unwanted>\S.*)", re.IGNORECASE)
_ENGLISH_VERB = _Pattern(
    r"(?P<wanted>\S.*?)(?:\s+(?:who|that|which))?"
    r"(?:\s+(?:is|are|was|were|has|have|does|do))?(?:\s+not|\s+(?:is|are|was|were|has|have|does|do)n['’]t)\s+"
    r"(?P<unwanted>(?:a|an|any|the|in|on|with|[a-z]{2,}ing)\s+\S.*)",
    re.IGNORECASE,
)
_ENGLISH_NOBODY = _Pattern(r"(?:nobody|no\s+one)\s+(?:in|on|at)\s+(?P<wanted>\S.*)", re.IGNORECASE)
_ENGLISH_ALONE = _Pattern(r"(?:no|without(?:\s+any)?)\s+(?P<unwanted>\S+(?:\s+\S+)?)", re.IGNORECASE)
_ENGLISH_SET_PHRASES = _Pattern(
    r"\bwithout\s+(?:a\s+|any\s+)?(?:doubt|exception|end|warning|delay|fail|question|limit|borders)\b"
    r"|\b(?:no|not)\s+(?:only|longer|matter|more|doubt|way|entry|exit|parking|smoking|swimming|diving|fishing|trespassing"
    r"|littering|stopping|standing|vacancy|cycling|entrance|turn|left|right|u-turn|one\s+knows)\b"
    r"|\bno\s+\w+\s+(?:sign|allowed|zone)\b",
    re.IGNORECASE,
)
_ANY = _Pattern(r"(?:any|some|neither)\s+(?=\S)", re.IGNORECASE)
_OR = _Pattern(r"\s*,\s*(?:or|and|nor)\s+|\s+(?:or|and|nor)\s+|\s*,\s*", re.IGNORECASE)
_ELSEWHERE = _Pattern(
    r"\s+(?=(?:on|in|at|near|by|under|behind|beside|along|through|during|outside|inside|next\s+to|in\s+front\s+of)\s+"
    r"(?!(?:its|his|her|their|the\s+(?:mouth|hands?|head|ears?))\b))",
    re.IGNORECASE,
)
_PREPOSITION = _Pattern(r"(?:in|on|with|at)\s", re.IGNORECASE)
_ANY_PICTURE = "a photo"
# Without one of these no expression matches.
_ENGLISH_SIGNS = (
    "no ",
    "not ",
    "nobody ",
    "n't ",
    "n’t ",
    "without ",
    "neither ",
    "except ",
    "excluding ",
    "free of ",
)

_NO = r"(?:没有|沒有|不带|不帶|不含|没|沒|无|無)"
_NOT_DOING = r"不(?=[戴穿带帶拿骑騎坐笑])"
_COUNTED = r"(?:[一几幾两兩这這那][个個条條只隻张張位名群辆輛座片匹]?)"
_CHINESE_BEFORE = _Pattern(
    rf"(?P<count>{_COUNTED})?(?:{_NO}|{_NOT_DOING})(?P<unwanted>[^的，,。]{{1,20}}?色的[^的，,。]{{1,10}}|[^的，,。]{{1,20}})"
    r"的(?P<wanted>\S.*)"
)
_CHINESE_NOBODY_BEFORE = _Pattern(r"(?:空无一人|空無一人)的(?P<wanted>\S.*)")
_CHINESE_EXCEPT = _Pattern(
    r"(?:除了|除去)(?P<unwanted>[^，,。]{1,20}?)(?:以外|之外|外)[，,]?(?:所有)?的?(?P<wanted>\S.*)"
)
_CHINESE_AFTER = _Pattern(
    rf"(?P<wanted>\S.*?)[，,、；;\s]*(?:但是|但|而且|而|却|卻|且|并且|並且)?(?:(?:没有|沒有|不带|不帶|不含|没|沒|不是)|{_NOT_DOING})"
    r"(?P<unwanted>[^，,。的]{1,20})[。]?"
)
_CHINESE_NOBODY = _Pattern(r"(?P<wanted>\S.*?)[，,、\s]*(?:空无一人|空無一人|无人|無人)[。]?")
_CHINESE_ALONE = _Pattern(r"(?:没有|沒有|无|無)(?P<unwanted>[^，,。的]{1,10})")
_CHINESE_SET_PHRASES = _Pattern(
    r"[无無](?:人机|人機|线|線|轨|軌|论|論|名|花果|尾熊|边泳|邊泳|框|敌|敵|聊|数|數|限|辜|比)|独一无二|獨一無二|没问题|沒問題|有没有|有沒有"
)
_CHINESE_OR = _Pattern(r"(?:也|又)?(?:没有|沒有)|[和或跟与與、]|以及|或者")
_PLACE_SUFFIX = _Pattern(r"(?<=\S\S)(?:上面|里面|上|里|裡|中)$")
# Nor without one of these.
_CHINESE_SIGNS = frozenset("没沒无無不除空")
_ANY_CHINESE_PICTURE = "一张照片"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text is read: what is wanted, and what is not.

    Attributes:
        wanted: words of the text, or words for any picture where it says only what is unwanted.
        unwanted: the excluded things, each by itself; empty where the text is taken as it is.
    """

    wanted: str
    unwanted: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f'"{self.wanted}" without ' + ", ".join(f'"{one}"' for one in self.unwanted)


def read_text(text: str) -> Reading:
    """Split a text into what it asks for and what it excludes; a text that excludes nothing comes back unchanged."""
    plain = " ".join(text.split())
    if not plain or len(plain) > MOST_CHARACTERS or '"' in plain or "“" in plain:
        return Reading(text)
    found = None
    if any("\u3400" <= character <= "\u9fff" for character in plain):
        found = _read_chinese(plain) if _CHINESE_SIGNS.intersection(plain) else None
    elif any(sign in plain.lower() for sign in _ENGLISH_SIGNS):
        found = _read_english(plain.rstrip(".!"))
    return found if found is not None and found.unwanted else Reading(text)


def read_query(query: Query) -> tuple[Query, list[Reading]]:
    """Read every wanted text of a query: the query with excluded texts subtracted, and the readings that did it."""
    parts: list[Part] = []
    readings = []
    for part in query.parts:
        reading = read_text(part.text) if isinstance(part, TextPart) and part.weight > 0 else None
        if reading is None or not reading.unwanted:
            parts.append(part)
            continue
        readings.append(reading)
        parts.append(TextPart(reading.wanted, part.weight))
        parts += [TextPart(one, -WEIGHT * part.weight) for one in reading.unwanted]
    return (Query(tuple(parts), query.place) if readings else query), readings


def _read_english(text: str) -> Reading | None:
    if _ENGLISH_SET_PHRASES.compiled.search(text):
        return None
    if found := _ENGLISH_NOBODY.compiled.fullmatch(text):
        return Reading(found["wanted"], ("people",))
    if found := _ENGLISH_ALONE.compiled.fullmatch(text):
        return Reading(_ANY_PICTURE, tuple(_split(found["unwanted"], _OR)))
    found = _ENGLISH.compiled.fullmatch(text) or _ENGLISH_VERB.compiled.fullmatch(text)
    if found is None:
        return None
    unwanted, *elsewhere = _ELSEWHERE.compiled.split(found["unwanted"], maxsplit=1)
    if _PREPOSITION.compiled.match(unwanted):  # "in", where the whole of what is unwanted is a place
        unwanted, elsewhere = found["unwanted"], []
    return Reading(" ".join([found["wanted"], *elsewhere]), tuple(_split(unwanted, _OR)))


def _read_chinese(text: str) -> Reading | None:
    if _CHINESE_SET_PHRASES.compiled.search(text):
        return None
    if found := _CHINESE_BEFORE.compiled.fullmatch(text) or _CHINESE_EXCEPT.compiled.fullmatch(text):
        count = found.groupdict().get("count") or ""
        return Reading(count + found["wanted"], tuple(_split(found["unwanted"], _CHINESE_OR)))
    if found := _CHINESE_ALONE.compiled.fullmatch(text):
        return Reading(_ANY_CHINESE_PICTURE, tuple(_split(found["unwanted"], _CHINESE_OR)))
    if found := _CHINESE_NOBODY_BEFORE.compiled.fullmatch(text) or _CHINESE_NOBODY.compiled.fullmatch(text):
        return Reading(_PLACE_SUFFIX.compiled.sub("", found["wanted"]), ("人",))
    if found := _CHINESE_AFTER.compiled.fullmatch(text):
        return Reading(
            _PLACE_SUFFIX.compiled.sub("", found["wanted"]),
            tuple(_split(found["unwanted"], _CHINESE_OR)),
        )
    return None


def _split(unwanted: str, at: _Pattern) -> Iterator[str]:
    for one in at.compiled.split(unwanted):
        bare = _ANY.compiled.sub("", one.strip(), count=1)
        if bare:
            yield bare

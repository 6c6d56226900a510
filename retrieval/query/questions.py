"""Questions that a dual encoder can answer, understood by their form: whether something is there, and which it is.

English and Chinese. What is asked for is a name of at most three words (six characters), without numbers, relations,
colours or sizes: for these the answers were not measured, and would often be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Existence:
    """Whether the image shows a thing."""

    thing: str
    language: Language


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of two or more things the image shows."""

    things: tuple[str, ...]
    language: Language


@dataclass(frozen=True, slots=True)
class WhichPictures:
    """Which pictures show a thing.

    Attributes:
        thing: as it was asked for.
        question: of one picture, whether it shows it.
        choices: the answer that it does, and the one that it does not.
    """

    thing: str
    question: str
    choices: tuple[str, str]


_PICTURE = r"(?:picture|photo|photograph|image|scene)"
_HERE = (
    rf"(?: (?:(?:visible |shown |seen )?(?:in|on) (?:the|this|that|my) {_PICTURE}|here|visible|to be seen))?"
)
_ONE = r"(?:any |some |an? |the )?"
_EXISTENCE = (
    re.compile(rf"(?:is|are) there {_ONE}(.+?){_HERE}"),
    re.compile(
        rf"(?:do|does) (?:this|the|that|my) {_PICTURE} (?:show|contain|have|include|depict) {_ONE}(.+)"
    ),
    re.compile(rf"(?:can|do|could) (?:you|i|we) see {_ONE}(.+?){_HERE}"),
    re.compile(
        rf"(?:is|are) (?:an? |any |some )(.+?) (?:visible |shown )?(?:in|on) (?:the|this|that) {_PICTURE}"
    ),
    re.compile(rf"any (.+?){_HERE}"),
)
_CHOICE = re.compile(
    rf"(?:is|are) (?:it|this|that|these|they|the (?:animal|thing|object|vehicle|food))(?: {_PICTURE}(?: of)?)? "
    r"(.+?),? or (.+)"
)
_OPEN = re.compile(
    rf"(?:what(?: is|'s| are) (?:it|this|that|these|(?:in|on|shown in) (?:the|this) {_PICTURE})|which(?: is it| one)?|"
    rf"what does (?:the|this) {_PICTURE} show)"
)
_ARTICLE = re.compile(r"^(?:an?|the|some|any) ")
_NAME = re.compile(r"[a-z][a-z'-]*(?: [a-z][a-z'-]*){0,2}")
_RELATIONS = (
    "and or not no nothing without with than more less many much how who whose which what that is are was were in on "
    "at of to by from for behind under over between near next left right front top two three four five six seven eight "
    "nine ten several few one only all every other same anyone anything something someone else a an the some any"
)
_QUALITIES = "red blue green yellow black white brown orange pink purple grey gray big small large little old young new"
_NOT_IN_NAMES = frozenset(_RELATIONS.split())
_NOT_BEFORE_NAMES = frozenset(_QUALITIES.split())

_ZH_PLACE = r"(?:请问)?(?:(?:在)?(?:这|那|该)?(?:张|幅|个)?(?:图片|照片|图像|相片|画面|图|这里)(?:里面|里|中|上|内)?)?"
_ZH_ONE = r"(?:一[只个条辆匹头架张把台本位名艘棵杯瓶块座双部顶颗片支根朵群些]|[个只]|任何|一些)?"
_ZH_EXISTENCE = (
    re.compile(rf"{_ZH_PLACE}(?:有没有|是否有|有无|是不是有|能不能看到){_ZH_ONE}(.+?)(?:吗|么|嘛|呢)?"),
    re.compile(rf"{_ZH_PLACE}(?:有|能看到|看得到){_ZH_ONE}(.+?)(?:吗|么|嘛|没有)"),
)
_ZH_CHOICE = re.compile(rf"(?:它|这|那)?{_ZH_PLACE}(?:是|的是)(.+?)(?:，|,)?还是(.+?)(?:呢)?")
_ZH_OPEN = re.compile(rf"(?:它|这|那)?{_ZH_PLACE}(?:是什么|有什么|是哪个|是哪一个)(?:呢)?")
_ZH_NAME = re.compile(r"[\u4e00-\u9fff]{1,6}")
_ZH_NOT_IN_NAMES = re.compile(
    r"[几多少和或跟与谁哪不没的是色]|什么|^[两二三四五六七八九十][只个条辆匹头架张把台本位名艘棵杯瓶块座双]"
)
_PICTURES = r"(?:pictures?|photos?|photographs?|images?)"
_WHICH = re.compile(
    rf"(?:which|what)(?: ones?)?(?: of)?(?: (?:my|the|these|those|all|our))* {_PICTURES} "
    r"(?:shows?|ha(?:s|ve)|contains?|includes?|depicts?|(?:is|are) of|with) (.+)"
)
_ZH_PICTURES = r"(?:照片|图片|图像|相片|图)"
_ZH_WHICH = re.compile(
    rf"(?:我的)?(?:哪(?:些|几?张|几?幅|个)(?:我的)?{_ZH_PICTURES}|{_ZH_PICTURES}(?:里面|里|中|当中)?哪(?:些|几?张|几?幅|个))"
    r"(?:里面|里|中|上)?(?:有|拍了|拍到|显示|包含|是)(?:了)?(.+?)"
)
_MARKS = re.compile(r"[\s?？!！.。]+$")


def understand(question: str, choices: Sequence[str] | None = None) -> Existence | Choice | None:
    """Read a question; None where its form is not known here.

    Args:
        question: in English or Chinese.
        choices: that the caller gives; the question may then only ask what the image shows.
    """
    text = _MARKS.sub("", " ".join(question.split())).lower()
    language: Language = "zh" if re.search(r"[\u4e00-\u9fff]", text) else "en"
    if choices is not None:
        is_open = (_ZH_OPEN if language == "zh" else _OPEN).fullmatch(text)
        return _choice([choice.strip() for choice in choices], language) if is_open else None
    if language == "zh":
        return _chinese(text)
    if (found := _CHOICE.fullmatch(text)) is not None:
        return _choice([*found[1].split(","), found[2]], "en")
    for form in _EXISTENCE:
        if (found := form.fullmatch(text)) is not None and (thing := _english_name(found[1])) is not None:
            return Existence(thing, "en")
    return None


def which_pictures(question: str) -> WhichPictures | None:
    """Read a question about pictures that show something; None where its form is not known here."""
    text = _MARKS.sub("", " ".join(question.split()))
    if (found := _ZH_WHICH.fullmatch(text)) is not None:
        return WhichPictures(found[1], f"图片里有{found[1]}吗？", ("有", "没有"))
    if (found := _WHICH.fullmatch(text.lower())) is not None:
        thing = found[1]
        verb = "are" if thing.endswith("s") and not re.match("(?:an?|the) ", thing) else "is"
        return WhichPictures(thing, f"{verb} there {thing} in the picture?", ("yes", "no"))
    return None


def _chinese(text: str) -> Existence | Choice | None:
    if (found := _ZH_CHOICE.fullmatch(text)) is not None:
        return _choice([*re.split("[、，,]", found[1]), found[2]], "zh")
    for form in _ZH_EXISTENCE:
        if (found := form.fullmatch(text)) is not None and (thing := _chinese_name(found[1])) is not None:
            return Existence(thing, "zh")
    return None


def _choice(parts: Sequence[str], language: Language) -> Choice | None:
    """Give the choice among some names; None where one of them is not a name, or two are the same."""
    names = [_chinese_name(part) if _ZH_NAME.search(part) else _english_name(part.lower()) for part in parts]
    things = tuple(name for name in names if name is not None)
    if len(things) < 2 or len(set(things)) < len(parts):
        return None
    return Choice(things, language)


def _english_name(text: str) -> str | None:
    name = _ARTICLE.sub("", text.strip(), count=1)
    words = name.split()
    is_name = _NAME.fullmatch(name) is not None and not _NOT_IN_NAMES & set(words)
    return name if is_name and not _NOT_BEFORE_NAMES & set(words[:-1]) else None


def _chinese_name(text: str) -> str | None:
    name = re.sub(rf"^{_ZH_ONE}(?=.)", "", text.strip())
    return name if _ZH_NAME.fullmatch(name) and not _ZH_NOT_IN_NAMES.search(name) else None

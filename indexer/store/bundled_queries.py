"""Texts to measure an accelerator with, where a collection of images holds no texts of its own."""

from __future__ import annotations

from itertools import product

_THINGS = (
    "a dog", "a cat", "a horse", "a bird", "a child", "a woman", "two men", "a family", "a crowd", "a bicycle",
    "a red car", "a train", "a boat", "an aeroplane", "a house", "a church", "a bridge", "flowers", "a tree", "food",
    "a cake", "a cup of coffee", "a laptop", "a guitar", "a book", "a bride", "a baby", "a tent", "snow", "a waterfall",
)  # fmt: skip
_PLACES = (
    "on a beach", "in the mountains", "at night", "in a kitchen", "on a street", "in a garden", "at sunset",
    "beside a lake", "in a living room", "seen from above", "in black and white", "in the rain",
)  # fmt: skip
_CHINESE_THINGS = (
    "一只狗", "一只猫", "一匹马", "一个孩子", "一个女人", "一家人", "一辆自行车", "一列火车", "一艘船", "一座教堂",
    "一座桥", "花", "一棵树", "食物", "一个蛋糕", "一台笔记本电脑", "一把吉他", "一顶帐篷", "雪", "瀑布",
)  # fmt: skip
_CHINESE_PLACES = (
    "在海滩上", "在山里", "在夜里", "在厨房里", "在街上", "在花园里", "在日落时", "在湖边", "在客厅里", "在雨中",
)  # fmt: skip


def bundled_queries() -> list[str]:
    """Give 652 short texts, English and Chinese: things, places, and things in places."""
    english = [f"{thing} {place}" for thing, place in product(_THINGS, _PLACES)]
    chinese = [f"{place}的{thing}" for thing, place in product(_CHINESE_THINGS, _CHINESE_PLACES)]
    return [*_THINGS, *_PLACES, *_CHINESE_THINGS, *_CHINESE_PLACES, *english, *chinese]

"""Single nouns as queries: the words that people type first, and that no caption is as short as.

A picture is right if two of its captions, or more, have the noun. The figure is precision at 10 (at n, where only n
pictures are right), the mean over nouns in per cent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.tower_encoder import TowerEncoder

Vectors = NDArray[np.float32]

# Chosen by hand, before mini was taught such words; what else captions call a thing stands after a bar, what they
# do not mean by it in brackets.
FLICKR8K = (
    "dog", "man|men", "woman|women", "child|children|kid|kids", "boy", "girl", "bike|bicycle|cyclist", "ball",
    "car", "water", "beach", "snow", "horse", "bird", "camera", "motorcycle|motorbike", "boat", "mountain",
    "football", "swing", "pool", "tree", "street", "rock", "skateboard", "surfer", "hat", "kite", "fire",
    "grass",
)  # fmt: skip
COCO = (
    "dog", "cat", "train", "bus", "horse", "bird", "boat", "pizza", "cake", "kitchen", "bathroom", "toilet",
    "giraffe", "elephant", "zebra", "bear", "laptop", "motorcycle", "umbrella", "skateboard", "clock",
    "airplane", "surfboard", "sandwich", "bench",
)  # fmt: skip
CHINESE = (
    "狗", "男人|男子", "女人|女子", "孩子|小孩", "男孩", "女孩", "自行车", "球", "汽车", "水", "海滩",
    "雪", "马(?![路尾拉戏桶])", "鸟", "摩托车", "船", "山", "足球", "泳池", "树(?![枝叶])", "街", "岩石|石头", "滑板",
    "冲浪", "帽子", "草地|草坪",
)  # fmt: skip
_ENGLISH_FORMS, _CHINESE_FORMS = ("{}", "a {}", "a photo of a {}"), ("{}", "{}的照片")


def noun_figures(
    encoder: TowerEncoder,
    val: tuple[Vectors, list[dict[str, Any]]],
    coco: tuple[Vectors, list[dict[str, Any]]],
) -> dict[str, dict[str, float]]:
    """By set of pictures and language, then by the form of the query."""
    asked = {
        "flickr8k_val": (FLICKR8K, _ENGLISH_FORMS, val, "captions", _english),
        "flickr8k_val_zh": (CHINESE, _CHINESE_FORMS, val, "captions_zh", re.compile),
        "coco_mini": (COCO, _ENGLISH_FORMS, coco, "captions", _english),
    }
    return {
        name: {form: _precision(encoder, nouns, form, *pictures, key, pattern) for form in forms}
        for name, (nouns, forms, pictures, key, pattern) in asked.items()
    }


def _english(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b({words})(s|es)?\b", re.IGNORECASE)


def _precision(
    encoder: TowerEncoder,
    nouns: Sequence[str],
    form: str,
    images: Vectors,
    facts: list[dict[str, Any]],
    key: str,
    pattern: Callable[[str], re.Pattern[str]],
) -> float:
    shares = []
    scores = encoder.encode_texts([form.format(re.split(r"[|(]", words)[0]) for words in nouns]) @ images.T
    for words, row in zip(nouns, scores, strict=True):
        found = pattern(words)
        right = np.array([sum(found.search(text) is not None for text in one[key]) >= 2 for one in facts])
        if right.any():
            first = np.argsort(-row, kind="stable")[: min(10, right.sum())]
            shares.append(right[first].mean())
    return 100 * float(np.mean(shares))

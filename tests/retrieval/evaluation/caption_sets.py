"""Small sets of captions with references, and what pycocoevalcap 1.2 says of them (its Java tokenizer included)."""

from __future__ import annotations

import random

Words = tuple[str, ...]

ENGLISH: list[tuple[str, list[str]]] = [
    (
        "A dog is running through the snow.",
        [
            "A dog runs in the snow .",
            "The brown dog doesn't stop running through deep snow .",
            "A dog in snow",
        ],
    ),
    (
        "two men on a bench",
        ["Two men are sitting on a wooden bench (outside) .", "Two old men on a bench , talking"],
    ),
    ("a man's red T-shirt", ['A man wears a red t-shirt that says " hello " .', "The man 's shirt is red"]),
    ("", ["A girl jumps into a pool .", "girl jumping at the pool"]),
    ("the the the the cat", ["A cat sits on the mat .", "There is a cat on the mat ."]),
    ("a child cannot reach the ball", ["A child can not reach the ball .", "A child reaches for a ball #3"]),
]
CHINESE: list[tuple[str, list[str]]] = [
    ("一只狗在雪地里跑。", ["一只棕色的狗在雪地里奔跑", "小狗在雪里跑"]),
    ("两个男人坐在长椅上", ["两个男人坐在木制长椅上聊天。", "公园里，两个老人坐着"]),
    ("一个女孩跳进游泳池", ["穿着T恤的女孩跳进泳池", "女孩在游泳"]),
]


def generated(seed: int, pictures: int, references: int) -> tuple[list[Words], list[list[Words]]]:
    """Captions of a few words that repeat, some of them empty."""
    draw = random.Random(seed).random
    words = [f"w{number}" for number in range(12)]

    def caption(least: int) -> Words:
        return tuple(words[int(draw() ** 2 * 12)] for _ in range(least + int(draw() * 12)))

    captions = [caption(0) for _ in range(pictures)]
    return captions, [[caption(1) for _ in range(references)] for _ in range(pictures)]

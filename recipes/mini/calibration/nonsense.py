"""Queries that nothing answers: impossible things, words that show nothing, and typed noise, in English and Chinese.

Each list is cut in two halves by turns, so that what is fitted on one half can be measured on the other.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

_COLOURS = (
    "purple", "green", "transparent", "striped", "golden", "blue", "pink", "glowing", "glass", "wooden",
    "invisible", "burning",
)  # fmt: skip
_THINGS = (
    "elephant", "submarine", "dinosaur", "teapot", "castle", "piano", "octopus", "dragon", "volcano",
    "penguin", "robot", "unicorn", "refrigerator", "whale", "lighthouse", "cactus", "pyramid", "spaceship",
    "mermaid", "tractor", "kangaroo", "chandelier", "crocodile", "igloo",
)  # fmt: skip
_PLACES = (
    "on the moon", "inside a volcano", "under the sea", "made of cheese", "reading a newspaper",
    "in outer space", "on a cloud", "playing chess", "inside a bottle", "in a washing machine",
    "eating a bicycle", "on the rings of Saturn", "dancing with a lobster", "on top of a giant strawberry",
)  # fmt: skip
_CHINESE_COLOURS = (
    "紫色的", "绿色的", "透明的", "条纹的", "金色的", "蓝色的", "粉色的", "发光的", "玻璃做的", "木头做的",
    "隐形的", "燃烧的",
)  # fmt: skip
_CHINESE_THINGS = (
    "大象", "潜水艇", "恐龙", "茶壶", "城堡", "钢琴", "章鱼", "龙", "火山", "企鹅", "机器人", "独角兽", "冰箱",
    "鲸鱼", "灯塔", "仙人掌", "金字塔", "宇宙飞船", "美人鱼", "拖拉机", "袋鼠", "吊灯", "鳄鱼", "冰屋",
)  # fmt: skip
_CHINESE_PLACES = (
    "在月球上", "在火山里", "在海底", "在读报纸", "在太空中", "在云上", "在下棋", "在瓶子里", "在洗衣机里",
    "在吃自行车", "在土星环上", "在和龙虾跳舞", "在巨大的草莓上", "用奶酪做成",
)  # fmt: skip
_ABSTRACT = (
    "tax return deadline", "quarterly revenue growth", "the theory of relativity", "democracy",
    "inflation rate", "jurisprudence", "photosynthesis equation", "a feeling of regret", "the year 1648",
    "monetary policy", "compiler optimisation", "sonata in B minor", "metaphysics", "constitutional amendment",
    "error 404", "password reset", "shareholder meeting", "gross domestic product", "quantum entanglement",
    "Gödel's theorem",
)  # fmt: skip
_CHINESE_ABSTRACT = (
    "报税截止日期", "季度营收增长", "相对论", "民主", "通货膨胀率", "法理学", "光合作用方程", "后悔的感觉",
    "货币政策", "编译器优化", "形而上学", "宪法修正案", "重置密码", "股东大会", "国内生产总值", "量子纠缠",
    "哥德尔定理", "汇率", "语法规则", "三角函数",
)  # fmt: skip
_WORDS = (
    "although", "between", "moreover", "seldom", "ratio", "nominal", "verdict", "lenient", "entropy", "clause",
    "syntax", "ledger", "tariff", "oblique", "parse", "latent", "novel", "decree", "motive", "fiscal", "thus",
    "whereas", "quota", "idiom", "premise", "adverb", "fraction", "surplus", "treaty", "axiom",
)  # fmt: skip
_CHARACTERS = (
    "虽然之间而且很少比率名义判决宽松熵条款句法账本关税斜解析潜在"
    "新颖法令动机财政因此配额成语前提副词分数盈余条约公理"
)

_FOREIGN = (
    "Hund", "gato", "maison", "Baum", "pájaro", "voiture", "Schloss", "playa", "montagne", "Fahrrad", "zapato",
    "fenêtre", "Blumen", "cocina", "poisson", "Straße", "caballo", "fromage", "Himmel", "iglesia", "cheval", "Kinder",
    "mesa", "arbre", "talo", "hevonen", "järvi", "samochód", "kobieta", "dziecko", "köpek", "araba", "deniz",
    "ragazzo", "albero", "spiaggia", "cavallo", "menino", "cachorro", "bicicleta", "fiets", "huisje", "meisje",
    "hund på stranden", "flicka", "kuća", "drvo", "pes", "kočka", "ház", "kutya", "собака", "машина", "дерево",
    "σπίτι", "θάλασσα", "いぬ", "くるま", "개", "나무", "un perro en la playa", "ein Mann mit Hut",
    "une femme dans la rue", "due ragazze al mare",
)  # fmt: skip
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")

EVERY = 25  # of each kind and language, and twice as many impossible things
MANY = 300
_LETTERS = string.ascii_lowercase + "  "


def nonsense(half: int) -> list[tuple[str, str]]:
    """Give (language, text) pairs of half 0 or 1, which are asked; the same at every call."""
    found = _made(half, random.Random(half), EVERY, "q")
    found += [("en", text) for text in _ABSTRACT[half::2]] + [
        ("zh", text) for text in _CHINESE_ABSTRACT[half::2]
    ]
    return list(dict.fromkeys(found))


def much_nonsense(half: int) -> list[str]:
    """Give texts made of the words of half 0 or 1, some 2,000 of them, which say what nonsense is like."""
    rng = random.Random(100 + half)
    made = _made(half, rng, MANY, "")
    asked = {text for _, text in nonsense(half)}
    texts = [text for _, text in made] + list(_FOREIGN[half::2]) + [_along_keys(rng) for _ in range(MANY)]
    return [text for text in dict.fromkeys(texts) if text and text not in asked]


def _along_keys(rng: random.Random) -> str:
    """Type along rows of the keyboard."""
    words = []
    for _ in range(rng.randint(1, 3)):
        row, start = rng.choice(_ROWS), rng.randint(0, 4)
        words.append(row[start : start + rng.randint(3, 7)])
    return " ".join(words)


def _made(half: int, rng: random.Random, every: int, first: str) -> list[tuple[str, str]]:
    """Draw impossible things, words that show nothing and typed noise, which begins with ``first``."""

    def part(words: Sequence[str]) -> list[str]:
        return list(words[half::2])

    colours, things, places = part(_COLOURS), part(_THINGS), part(_PLACES)
    chinese = part(_CHINESE_COLOURS), part(_CHINESE_THINGS), part(_CHINESE_PLACES)
    words, characters = part(_WORDS), part(_CHARACTERS)
    found: list[tuple[str, str]] = []
    for _ in range(2 * every):
        found.append(("en", f"a {rng.choice(colours)} {rng.choice(things)} {rng.choice(places)}"))
        found.append(("zh", f"{rng.choice(chinese[2])}的{rng.choice(chinese[0])}{rng.choice(chinese[1])}"))
    for _ in range(every):
        found.append(("en", " ".join(rng.sample(words, rng.choice((1, 2, 3, 4))))))
        found.append(("zh", "".join(rng.sample(characters, rng.choice((2, 3, 4, 6))))))
        typed = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(5, 16)))
        found.append(("en", f"{first}{typed.strip()}"))
        found.append(("zh", "".join(chr(rng.randint(0x4E00, 0x9FA5)) for _ in range(rng.randint(2, 6)))))
    return found

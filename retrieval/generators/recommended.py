"""Generators by short names: where they are, how large, under which licence, and what is published of them."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.generators.base import Task

_BLIP = "Li et al. 2022 (arXiv 2201.12086), tables 7 and 8"
_GIT = "Wang et al. 2022 (arXiv 2205.14100), COCO captions and VQAv2 of GIT_B and GIT_L"

_FLORENCE = "Xiao et al. 2024 (arXiv 2311.06242), fine-tuned models, COCO Karpathy test"
_BLIP_2 = "Li et al. 2023 (arXiv 2301.12597), table 3, ViT-g with OPT 2.7B"


@dataclass(frozen=True, slots=True)
class RecommendedGenerator:
    """A generator that ``--model ALIAS`` names.

    Attributes:
        alias: short name.
        hub_id: ``organisation/name`` on the hub; empty for what comes with vlsearch.
        tasks: what it was fine-tuned for.
        languages: BCP 47 tags of what it writes.
        parameters: in millions.
        licence: of the weights.
        cider: CIDEr-D times 100 on COCO's Karpathy test split, or None.
        vqa: accuracy in per cent on VQA v2's test-dev, or None.
        source: of the figures; empty where there are none.
        good_for: one clause.
        bytes_each: of a parameter in the file of weights.
    """

    alias: str
    hub_id: str
    tasks: tuple[Task, ...]
    languages: tuple[str, ...]
    parameters: int
    licence: str
    cider: float | None
    vqa: float | None
    source: str
    good_for: str
    bytes_each: int = 4

    @property
    def megabytes(self) -> int:
        """Size of the weights."""
        return self.bytes_each * self.parameters


BUNDLED = "mini"
"""The alias of what comes with vlsearch."""

RECOMMENDED: tuple[RecommendedGenerator, ...] = (
    RecommendedGenerator(
        BUNDLED,
        "",
        ("caption",),
        ("en", "zh"),
        6,
        "Apache-2.0, for non-commercial use: see its card",
        None,
        None,
        "",
        "captions without a download, of what Flickr8k shows: people, dogs, sports, outdoors",
        bytes_each=1,
    ),
    RecommendedGenerator(
        "git-base",
        "microsoft/git-base-coco",
        ("caption",),
        ("en",),
        177,
        "MIT",
        131.4,
        None,
        _GIT,
        "captions on a CPU: the smallest here, and nearly as good as the large ones",
    ),
    RecommendedGenerator(
        "git-large",
        "microsoft/git-large-coco",
        ("caption",),
        ("en",),
        394,
        "MIT",
        138.5,
        None,
        _GIT,
        "the best captions here",
    ),
    RecommendedGenerator(
        "blip-base",
        "Salesforce/blip-image-captioning-base",
        ("caption",),
        ("en",),
        247,
        "BSD-3-Clause",
        133.3,
        None,
        _BLIP,
        "captions in the words of COCO's annotators",
    ),
    RecommendedGenerator(
        "blip-large",
        "Salesforce/blip-image-captioning-large",
        ("caption",),
        ("en",),
        470,
        "BSD-3-Clause",
        136.7,
        None,
        _BLIP,
        "as blip-base, better and slower",
    ),
    RecommendedGenerator(
        "vit-gpt2",
        "nlpconnect/vit-gpt2-image-captioning",
        ("caption",),
        ("en",),
        239,
        "Apache-2.0",
        None,
        None,
        "",
        "comparing with programs that use it",
    ),
    RecommendedGenerator(
        "florence-2-base",
        "florence-community/Florence-2-base-ft",
        ("caption",),
        ("en",),
        231,
        "MIT",
        140.0,
        None,
        _FLORENCE,
        "captions as good as those of models many times its size",
    ),
    RecommendedGenerator(
        "florence-2-large",
        "florence-community/Florence-2-large-ft",
        ("caption",),
        ("en",),
        770,
        "MIT",
        143.3,
        None,
        _FLORENCE,
        "as florence-2-base, better and slower",
    ),
    RecommendedGenerator(
        "blip2-opt",
        "Salesforce/blip2-opt-2.7b-coco",
        ("caption", "ask"),
        ("en",),
        3745,
        "MIT",
        145.8,
        None,
        _BLIP_2,
        "machines with 24 GB of memory",
    ),
    RecommendedGenerator(
        "smolvlm-256m",
        "HuggingFaceTB/SmolVLM-256M-Instruct",
        ("caption", "ask"),
        ("en",),
        256,
        "Apache-2.0",
        None,
        None,
        "",
        "any question, in sentences; the smallest that talks, and slow for its size: it sees 13 parts of a picture",
    ),
    RecommendedGenerator(
        "smolvlm-500m",
        "HuggingFaceTB/SmolVLM-500M-Instruct",
        ("caption", "ask"),
        ("en",),
        507,
        "Apache-2.0",
        None,
        None,
        "",
        "as smolvlm-256m, better and slower",
    ),
    RecommendedGenerator(
        "qwen3-vl-2b",
        "Qwen/Qwen3-VL-2B-Instruct",
        ("caption", "ask"),
        ("en", "zh"),
        2128,
        "Apache-2.0",
        None,
        None,
        "",
        "any question, text in pictures; answers in the language it is asked in, Chinese too",
    ),
    RecommendedGenerator(
        "qwen2.5-vl-3b",
        "Qwen/Qwen2.5-VL-3B-Instruct",
        ("caption", "ask"),
        ("en", "zh"),
        3755,
        "Qwen Research License",
        None,
        None,
        "",
        "as qwen3-vl-2b; not for commercial use",
    ),
    RecommendedGenerator(
        "blip-vqa",
        "Salesforce/blip-vqa-base",
        ("ask",),
        ("en",),
        385,
        "BSD-3-Clause",
        None,
        78.25,
        _BLIP,
        "questions: the best answers here, and choices ranked as it was trained",
    ),
    RecommendedGenerator(
        "git-vqa",
        "microsoft/git-base-vqav2",
        ("ask",),
        ("en",),
        177,
        "MIT",
        None,
        72.72,
        _GIT,
        "questions on a slow machine",
    ),
    RecommendedGenerator(
        "blip-itm",
        "Salesforce/blip-itm-base-coco",
        ("rerank",),
        ("en",),
        224,
        "BSD-3-Clause",
        None,
        None,
        "",
        "a second look at the first hits of a search",
    ),
    RecommendedGenerator(
        "blip-itm-large",
        "Salesforce/blip-itm-large-coco",
        ("rerank",),
        ("en",),
        446,
        "BSD-3-Clause",
        None,
        None,
        "",
        "as blip-itm, better and slower",
    ),
)

BEST_FIRST: dict[Task, tuple[str, ...]] = {
    "caption": (
        "florence-2-large",
        "florence-2-base",
        "git-large",
        "blip-large",
        "blip-base",
        "git-base",
        "vit-gpt2",
        "qwen3-vl-2b",
        "qwen2.5-vl-3b",
        "smolvlm-500m",
        "smolvlm-256m",
        "blip2-opt",
        BUNDLED,
    ),
    "ask": (
        "blip-vqa",
        "git-vqa",
        "qwen3-vl-2b",
        "qwen2.5-vl-3b",
        "smolvlm-500m",
        "smolvlm-256m",
        "blip2-opt",
    ),
    "rerank": ("blip-itm-large", "blip-itm"),
}
"""Order in which a generator is chosen where none is named: by the published figures; those without come after."""

FIRST_DOWNLOAD: dict[Task, str] = {"caption": "git-base", "ask": "blip-vqa", "rerank": "blip-itm"}

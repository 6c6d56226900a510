"""The models that vlsearch recommends: what they are good for, what they cost, what was published.

Figures are R@1 as image-text papers print it, zero-shot, on the 5,000 pictures of COCO's test split and the
1,000 of Flickr30k's (a hit rate at 1, see :mod:`retrieval.evaluation`), copied from the source named beside
them; where no source was found there is none. Revisions are commits that are known to hold safetensors; None
is the main branch. Sizes are those of float32 weights, in units of 10^6 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

_OPEN_CLIP = "open_clip, docs/openclip_retrieval_results.csv (commit 05e7db4)"
_BIG_VISION = "big_vision, configs/proj/image_text/README_siglip2.md (commit 1659d42)"
_CN_CLIP = "Chinese-CLIP, Results.md (commit 3f4b8d8): COCO-CN and Flickr30K-CN"


@dataclass(frozen=True, slots=True)
class Published:
    """R@1 in per cent, each text to image and image to text; None where the source has none."""

    source: str
    coco: tuple[float, float] | None = None
    flickr: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class RecommendedModel:
    """A model that ``--model ALIAS`` names.

    Attributes:
        alias: short name.
        hub_id: ``organisation/name`` on the hub; None where the model is part of the package.
        revision: commit to fetch, None is the main branch; of the bundled model, the name of its weights.
        languages: BCP 47 tags of the texts it understands, or ``multi``.
        size_mb: of the weights.
        dimension: of its vectors.
        licence: of the weights.
        published: figures from a named source, or None.
        good_for: one clause.
    """

    alias: str
    hub_id: str | None
    revision: str | None
    languages: tuple[str, ...]
    size_mb: int
    dimension: int
    licence: str
    published: Published | None
    good_for: str


RECOMMENDED: tuple[RecommendedModel, ...] = (
    RecommendedModel(
        "mini",
        None,
        "mini-8",
        ("en", "zh"),
        23,
        512,
        "non-commercial use: trained on Flickr8k",
        None,  # measured on Flickr8k, not on COCO or Flickr30k
        "trying things out: comes with vlsearch, small and fast, everyday scenes in plain words",
    ),
    RecommendedModel(
        "clip-b32",
        "openai/clip-vit-base-patch32",
        "c237dc49a33fc61debc9276459120b7eac67e7ef",  # adds safetensors; the main branch has a pickle
        ("en",),
        605,
        512,
        "MIT",
        Published(_OPEN_CLIP, (30.44, 50.12), (58.78, 78.90)),
        "the fastest of the general models; photographs, in English",
    ),
    RecommendedModel(
        "clip-b16",
        "openai/clip-vit-base-patch16",
        None,
        ("en",),
        599,
        512,
        "MIT",
        Published(_OPEN_CLIP, (33.09, 52.42), (62.16, 82.20)),
        "finer detail than clip-b32 at four times its work a picture",
    ),
    RecommendedModel(
        "clip-l14",
        "openai/clip-vit-large-patch14",
        "32bd64288804d66eefd0ccbe215aa642df71cc41",
        ("en",),
        1711,
        768,
        "MIT",
        Published(_OPEN_CLIP, (36.51, 56.34), (64.96, 85.20)),
        "comparing with published work that uses CLIP ViT-L/14",
    ),
    RecommendedModel(
        "siglip-base",
        "google/siglip-base-patch16-224",
        "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed",
        ("en",),
        813,
        768,
        "Apache-2.0",
        Published(_OPEN_CLIP, (47.78, 65.74), (74.68, 89.10)),
        "English texts, much better than CLIP of the same size",
    ),
    RecommendedModel(
        "siglip-so400m",
        "google/siglip-so400m-patch14-384",
        "9fdffc58afc957d1a03a25b10dba0329ab15c2a3",
        ("en",),
        3512,
        1152,
        "Apache-2.0",
        Published(_OPEN_CLIP, (54.21, 72.42), (82.96, 94.30)),
        "the best for English where a GPU is at hand; small things in large pictures",
    ),
    RecommendedModel(
        "siglip2-base",
        "google/siglip2-base-patch16-224",
        "75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
        ("multi",),
        1501,
        768,
        "Apache-2.0",
        Published(_BIG_VISION, (52.1, 68.9)),
        "the first choice on a CPU: accurate, many languages",
    ),
    RecommendedModel(
        "siglip2-large",
        "google/siglip2-large-patch16-256",
        "787800c8990e6f058423089178e718139608408c",
        ("multi",),
        3526,
        1024,
        "Apache-2.0",
        Published(_BIG_VISION, (54.7, 71.5)),
        "many languages, more accurate than siglip2-base at four times its work",
    ),
    RecommendedModel(
        "siglip2-so400m",
        "google/siglip2-so400m-patch14-384",
        "e8e487298228002f3d8a82e0cd5c8ea9c567f57f",
        ("multi",),
        4544,
        1152,
        "Apache-2.0",
        Published(_BIG_VISION, (55.8, 71.7)),
        "the most accurate here, in many languages; wants a GPU",
    ),
    RecommendedModel(
        "chinese-clip-base",
        "OFA-Sys/chinese-clip-vit-base-patch16",
        "f4a64596bbcf9a2a94591b74b9dc39b2e4e77e3e",  # adds safetensors; the main branch has a pickle
        ("zh",),
        753,
        512,
        "MIT (code); the card states none",
        Published(_CN_CLIP, (62.2, 57.0), (62.7, 74.6)),
        "Chinese texts, at CLIP ViT-B/16's speed",
    ),
    RecommendedModel(
        "chinese-clip-large",
        "OFA-Sys/chinese-clip-vit-large-patch14",
        None,
        ("zh",),
        1625,
        768,
        "MIT (code); the card states none",
        Published(_CN_CLIP, (64.0, 60.4), (68.0, 80.2)),
        "Chinese texts, more accurate",
    ),
    RecommendedModel(
        "altclip",
        "BAAI/AltCLIP",
        None,
        ("en", "zh"),
        3457,
        768,
        "CreativeML OpenRAIL-M",
        Published("its model card: Flickr30k, English", None, (66.3, 85.9)),
        "English and Chinese in the space of CLIP ViT-L/14's pictures",
    ),
    RecommendedModel(
        "metaclip-2",
        "facebook/metaclip-2-worldwide-huge-quickgelu",
        "c139061af7b10fdb2e754b60d2b1182a3d5526c2",
        ("multi",),
        7440,
        1024,
        "CC-BY-NC-4.0",
        None,
        "more than 300 languages, for non-commercial use; wants a GPU",
    ),
    RecommendedModel(
        "align",
        "kakaobrain/align-base",
        None,
        ("en",),
        688,
        640,
        "Apache-2.0 (coyo-align-b7-base); the converted card states none",
        Published("model card of kakaobrain/coyo-align-b7-base", (43.1, 61.2), (73.2, 88.1)),
        "a convolutional image tower, in English",
    ),
)

BEST_FIRST: tuple[str, ...] = (
    "siglip2-so400m",
    "siglip2-large",
    "siglip-so400m",
    "siglip2-base",
    "siglip-base",
    "metaclip-2",
    "align",
    "clip-l14",
    "altclip",
    "clip-b16",
    "clip-b32",
    "chinese-clip-large",
    "chinese-clip-base",
    "mini",
)
"""Order in which ``auto`` chooses: by published COCO text-to-image R@1; without one, by neighbours in size
and data; models of Chinese alone after all that know English."""

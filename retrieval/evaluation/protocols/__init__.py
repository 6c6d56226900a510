"""Published protocols as data: what each is made of, how many, and who counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from retrieval.errors import UsageError
from retrieval.evaluation.evaluation_set import EvaluationSet
from retrieval.evaluation.protocols.chinese import COCO_CN, FLICKR30K_CN, load_coco_cn, load_flickr30k_cn
from retrieval.evaluation.protocols.eccv import ECCV, load_eccv
from retrieval.evaluation.protocols.karpathy import (
    COCO_1K,
    COCO_5K,
    FLICKR8K,
    FLICKR30K,
    load_coco_1k,
    load_coco_5k,
    load_flickr8k,
    load_flickr30k,
)
from retrieval.evaluation.protocols.muge import MUGE, load_muge
from retrieval.evaluation.protocols.own import load_entries
from retrieval.evaluation.protocols.protocol import Protocol, ProtocolOptions
from retrieval.evaluation.protocols.xm3600 import XM3600, load_xm3600

__all__ = ["PROTOCOLS", "Protocol", "ProtocolOptions", "load_entries", "load_protocol"]

_LOADERS: dict[str, tuple[Protocol, Callable[[Path, ProtocolOptions], EvaluationSet]]] = {
    protocol.name: (protocol, load)
    for protocol, load in (
        (FLICKR8K, load_flickr8k),
        (FLICKR30K, load_flickr30k),
        (COCO_5K, load_coco_5k),
        (COCO_1K, load_coco_1k),
        (COCO_CN, load_coco_cn),
        (FLICKR30K_CN, load_flickr30k_cn),
        (MUGE, load_muge),
        (XM3600, load_xm3600),
        (ECCV, load_eccv),
    )
}
PROTOCOLS: dict[str, Protocol] = {name: protocol for name, (protocol, _) in _LOADERS.items()}


def load_protocol(name: str, corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """Load a published protocol from its files in their published layout.

    Raises:
        UsageError: there is no such protocol.
        CorpusFormatError: a file is not in that layout.
        EvaluationError: it is, but of another split or size, or with images missing.
    """
    if name not in _LOADERS:
        raise UsageError(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    protocol, load = _LOADERS[name]
    title = f"{protocol.title}, {protocol.source}"
    return replace(load(corpus, options), protocol=title, denominators=protocol.denominators)

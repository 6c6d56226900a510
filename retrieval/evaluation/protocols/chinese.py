"""COCO-CN and Flickr30k-CN: Chinese captions on the images of COCO and Flickr30k."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import EvaluationSet, assemble
from retrieval.evaluation.protocols.protocol import (
    Protocol,
    ProtocolOptions,
    Size,
    as_chosen,
    check_sizes,
    image_of_protocol,
    locate_images,
)
from retrieval.evaluation.protocols.reading import find_file, read_captions, read_ids
from retrieval.types import CorpusText
from retrieval.uris import file_uri

_HEADLINE = ("hit rate@1", "hit rate@5", "hit rate@10", "MR")
_EVERY_QUERY = (
    "every caption (text to image) and every picture (image to text); a query without an answer is a miss"
)

COCO_CN = Protocol(
    name="coco-cn",
    title="COCO-CN",
    source="Li et al., IEEE TMM 2019; human-written captions, as Wukong and Chinese-CLIP evaluate",
    layout="the folder of coco-cn_test.txt and imageid.human-written-caption.txt",
    denominators=_EVERY_QUERY,
    split="test",
    sizes={"test": Size(1000, 1053), "train": Size(18341, None)},
    headline=_HEADLINE,
    images="train2014 and val2014",
    mistakes={20341: "that is all of COCO-CN; papers rank the 1,000 test pictures"},
)
FLICKR30K_CN = Protocol(
    name="flickr30k-cn",
    title="Flickr30k-CN",
    source="Lan, Li & Dong, ACM MM 2017; 1,000 test pictures with five captions translated by people",
    layout="the folder flickr30kzhmbosontest, with ImageSets and TextData in it",
    denominators=_EVERY_QUERY,
    split="test",
    sizes={"test": Size(1000, 5000), "val": Size(1000, 5000), "train": Size(29783, 148915)},
    headline=_HEADLINE,
    images="the flickr30k-images",
    mistakes={31783: "that is all of Flickr30k; papers rank the 1,000 test pictures"},
)
_FLICKR_FOLDERS = {
    "test": "flickr30kzhmbosontest",
    "val": "flickr30kzhbbosonval",
    "train": "flickr30kzhbbosontrain",
}
_TAG = re.compile(r":[A-Za-z]+$")


def load_coco_cn(corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """COCO-CN: 1,000 test images and the 1,053 captions that people wrote for them, one or two each."""
    split = options.split or COCO_CN.split
    names = _existing(corpus, f"coco-cn_{split}.txt", COCO_CN)
    captions = _existing(corpus, "imageid.human-written-caption.txt", COCO_CN)
    ids = read_ids(names)
    lines = ((name, caption) for _, name, caption in read_captions(captions))
    files = [(f"{'train2014' if 'train2014' in key else 'val2014'}/{key}.jpg", f"{key}.jpg") for key in ids]
    loaded = _join(COCO_CN, split, names, captions, ids, lines, files, options)
    return as_chosen(check_sizes(COCO_CN, split, loaded, corpus), options)


def load_flickr30k_cn(corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """Flickr30k-CN: captions are published as words with part-of-speech tags, which are taken off."""
    split = options.split or FLICKR30K_CN.split
    folder = _FLICKR_FOLDERS.get(split)
    if folder is None:
        raise EvaluationError(f"Flickr30k-CN has no split {split!r}, it has {', '.join(_FLICKR_FOLDERS)}")
    root = corpus / folder if (corpus / folder).is_dir() else corpus
    names = _existing(root, f"ImageSets/{folder}.txt", FLICKR30K_CN)
    captions = _existing(root, f"TextData/seg.{folder}.caption.txt", FLICKR30K_CN)
    ids = read_ids(names)
    lines = ((name, untagged(caption)) for _, name, caption in read_captions(captions, separator=None))
    loaded = _join(
        FLICKR30K_CN, split, names, captions, ids, lines, [(f"{key}.jpg",) for key in ids], options
    )
    return as_chosen(check_sizes(FLICKR30K_CN, split, loaded, corpus), options)


def untagged(words: str) -> str:
    """A caption as written, from words with tags: ``一个:m 男人:n 在:p 跑步:v`` is 一个男人在跑步."""
    return "".join(_TAG.sub("", word) for word in words.split())


def _existing(folder: Path, name: str, protocol: Protocol) -> Path:
    if folder.is_file():
        folder = folder.parent
    return find_file(folder, (name,), protocol.layout)


def _join(
    protocol: Protocol,
    split: str,
    names: Path,
    captions: Path,
    ids: list[str],
    lines: Iterable[tuple[str, str]],
    files: Sequence[tuple[str, ...]],
    options: ProtocolOptions,
) -> EvaluationSet:
    """Pictures in the order of the split's list, and the captions of these images alone."""
    rows = {key: row for row, key in enumerate(ids)}
    texts: list[CorpusText] = []
    links: list[tuple[int, int]] = []
    for name, caption in lines:
        row = rows.get(name.partition("#")[0])
        if row is not None:
            links.append((row, len(texts)))
            texts.append(CorpusText(file_uri(captions, name), caption, name, "zh"))
    if not links:
        raise EvaluationError(
            f"{captions} has a caption of none of the pictures in {names}; the two do not match"
        )
    located = locate_images(protocol, files, options.images, names.parent)
    name = protocol.name if split == protocol.split else f"{protocol.name}-{split}"
    images = [image_of_protocol(file, key) for file, key in zip(located, ids, strict=True)]
    return assemble(name, images, texts, links, language="zh")

"""Flickr8k, Flickr30k and COCO in Karpathy's splits: ``dataset_*.json``, or the original token files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from retrieval.errors import CorpusFormatError, EvaluationError
from retrieval.evaluation.evaluation_set import EvaluationSet, assemble, with_first_captions, with_folds
from retrieval.evaluation.protocols.protocol import (
    Protocol,
    ProtocolOptions,
    Size,
    as_chosen,
    check_sizes,
    image_of_protocol,
    locate_images,
    unknown_split,
)
from retrieval.evaluation.protocols.reading import find_file, read_captions, read_ids, read_json
from retrieval.types import CorpusText
from retrieval.uris import file_uri

_KARPATHY = "Karpathy & Fei-Fei, CVPR 2015 (cs.stanford.edu/people/karpathy/deepimagesent)"
_EVERY_QUERY = (
    "every caption (text to image) and every picture (image to text); a query without an answer is a miss"
)
_HEADLINE = ("hit rate@1", "hit rate@5", "hit rate@10", "RSum")

FLICKR8K = Protocol(
    name="flickr8k",
    title="Flickr8k",
    source="Hodosh, Young & Hockenmaier, JAIR 2013; splits as in " + _KARPATHY,
    layout="dataset_flickr8k.json, or Flickr8k.token.txt with Flickr_8k.testImages.txt beside it",
    denominators=_EVERY_QUERY,
    split="test",
    sizes={"test": Size(1000, 5000), "val": Size(1000, 5000), "train": Size(6000, 30000)},
    headline=_HEADLINE,
    images="the Flickr8k pictures",
    mistakes={
        8000: "that is all of Flickr8k; only the 1,000 of one split are ranked",
        8091: "that is all of Flickr8k and 91 that no split has; only the 1,000 of one split are ranked",
    },
)
FLICKR30K = Protocol(
    name="flickr30k",
    title="Flickr30k",
    source="Young et al., TACL 2014; 1,000 test pictures as in " + _KARPATHY,
    layout="dataset_flickr30k.json, or results_20130124.token with test.txt beside it",
    denominators=_EVERY_QUERY,
    split="test",
    sizes={"test": Size(1000, 5000), "val": Size(1014, 5070), "train": Size(29000, 145000)},
    headline=_HEADLINE,
    images="the flickr30k-images",
    mistakes={
        31014: "that is all of Flickr30k; papers rank the 1,000 test pictures alone",
        31783: "that is all of Flickr30k; papers rank the 1,000 test pictures alone",
    },
)
COCO_5K = Protocol(
    name="coco-5k",
    title="COCO 5K (Karpathy test)",
    source="Lin et al., ECCV 2014; Chen et al., 2015; split of " + _KARPATHY,
    layout="dataset_coco.json",
    denominators=_EVERY_QUERY + "; --captions first5 leaves 10 sixth captions out",
    split="test",
    sizes={"test": Size(5000, 25010)},
    headline=_HEADLINE,
    images="val2014 (the Karpathy test pictures are all from it)",
    mistakes={
        40504: "that is all of val2014, of which the Karpathy test split is 5,000",
        123287: "that is all of COCO 2014, of which the Karpathy test split is 5,000",
    },
)
COCO_1K = Protocol(
    name="coco-1k",
    title="COCO 1K, five-fold",
    source="Karpathy's fixed order, as evaluated since VSE++ (Faghri et al., BMVC 2018)",
    layout="dataset_coco.json",
    denominators="1,000 pictures and their 5,000 first-five captions in each of five folds; figures are "
    "their mean",
    split="test",
    sizes={"test": Size(5000, 25010)},
    headline=_HEADLINE,
    images=COCO_5K.images,
    mistakes={**COCO_5K.mistakes, 1000: "give the whole test split; it is cut into the five folds here"},
)


def load_flickr8k(corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """Flickr8k, one split of 1,000 images with five captions each."""
    return _load_flickr(FLICKR8K, corpus, options, "Flickr8k*.token.txt", "Flickr_8k.{}Images.txt", "dev")


def load_flickr30k(corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """Flickr30k, the 1,000 test images with five captions each."""
    return _load_flickr(FLICKR30K, corpus, options, "results*.token", "{}.txt", "val")


def load_coco_5k(corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """COCO 5K: Karpathy's 5,000 test images with all 25,010 captions, or the first five of each."""
    whole = load_coco(COCO_5K, corpus, options)
    return as_chosen(whole, options)


def load_coco_1k(corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """COCO 1K: the mean of five runs of 1,000 images in the file's order, first five captions each."""
    if options.folds not in (None, 5):
        raise EvaluationError(
            f"COCO 1K is the mean of 5 folds, not of {options.folds}; use coco-5k --folds for others"
        )
    return with_folds(with_first_captions(load_coco(COCO_1K, corpus, options), 5), 5)


def load_coco(protocol: Protocol, corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """A Karpathy split of COCO with all captions; the test split is checked to be of val2014."""
    path = find_file(corpus, ("dataset_coco.json", "*.json"), protocol.layout)
    document = read_json(path)
    if isinstance(document, dict) and "annotations" in document and "images" in document:
        count = len(document["images"])
        raise EvaluationError(
            f"{path} is an official COCO annotation file with {count:,} pictures; val2017 and val2014 are "
            f"other pictures "
            f"than the Karpathy test split, whose 5,000 papers report; give {protocol.layout}"
        )
    split = options.split or protocol.split
    loaded = _from_karpathy(protocol, path, document, split, options.images)
    foreign = [p.key for p in loaded.images if p.key and not p.key.startswith("COCO_val2014_")]
    if foreign and split == "test":
        raise EvaluationError(
            f"{path} lists {len(foreign):,} test pictures that are not of val2014, the first is "
            f"{foreign[0]}; the Karpathy "
            "test split is 5,000 pictures of val2014 (val2017 is another 5,000); give dataset_coco.json"
        )
    return check_sizes(protocol, split, loaded, path)


def _load_flickr(
    protocol: Protocol, corpus: Path, options: ProtocolOptions, tokens: str, lists: str, val: str
) -> EvaluationSet:
    split = options.split or protocol.split
    path = find_file(corpus, (f"dataset_{protocol.name}.json", tokens), protocol.layout)
    if path.suffix == ".json":
        loaded = _from_karpathy(protocol, path, read_json(path), split, options.images)
    else:
        names = path.parent / lists.format(val if split == "val" else split)
        if not names.is_file():
            raise EvaluationError(
                f"{path} holds the captions of every split, and {names.name} is not beside it; "
                f"{protocol.title} ranks "
                f"the pictures of one split, so give that list too"
            )
        loaded = _from_tokens(protocol, path, names, split, options.images)
    return as_chosen(check_sizes(protocol, split, loaded, path), options)


def _from_karpathy(
    protocol: Protocol, path: Path, document: Any, split: str, images: Path | None
) -> EvaluationSet:
    listed = document.get("images") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(isinstance(image, dict) for image in listed):
        raise CorpusFormatError(str(path), "there is no list 'images' in it", f"Give {protocol.layout}")
    chosen = [image for image in listed if image.get("split") == split]
    if not chosen:
        raise unknown_split(protocol, split, path, sorted({str(image.get("split")) for image in listed}))
    names = [_file_name(path, image) for image in chosen]
    duplicate, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise EvaluationError(
            f"{path} lists the picture {duplicate} {times} times; every picture needs an id of its own"
        )
    folders = [str(image.get("filepath", "")) for image in chosen]
    files = locate_images(
        protocol,
        [(f"{folder}/{name}" if folder else name, name) for folder, name in zip(folders, names, strict=True)],
        images,
        path.parent,
    )
    texts: list[CorpusText] = []
    links: list[tuple[int, int]] = []
    for row, image in enumerate(chosen):
        sentences = image.get("sentences")
        if not isinstance(sentences, list):
            raise CorpusFormatError(
                str(path), f"picture {names[row]} has no list 'sentences'", f"Give {protocol.layout}"
            )
        for sentence in sentences:
            if not isinstance(sentence, dict) or not isinstance(sentence.get("raw"), str):
                raise CorpusFormatError(
                    str(path), f"a sentence of {names[row]} has no 'raw'", f"Give {protocol.layout}"
                )
            key = str(sentence.get("sentid", f"{names[row]}#{len(texts)}"))
            links.append((row, len(texts)))
            texts.append(CorpusText(file_uri(path, f"sentid={key}"), sentence["raw"], key, "en"))
    listed_images = [image_of_protocol(file, name) for file, name in zip(files, names, strict=True)]
    return assemble(_named(protocol, split), listed_images, texts, links)


def _from_tokens(
    protocol: Protocol, path: Path, names: Path, split: str, images: Path | None
) -> EvaluationSet:
    rows = {name: row for row, name in enumerate(read_ids(names))}
    texts: list[CorpusText] = []
    links: list[tuple[int, int]] = []
    for _, name, caption in read_captions(path):
        row = rows.get(name.partition("#")[0])
        if row is not None:
            links.append((row, len(texts)))
            texts.append(CorpusText(file_uri(path, name), caption, name, "en"))
    described = {row for row, _ in links}
    for name, row in rows.items():
        if row not in described:
            raise EvaluationError(
                f"{names} lists {name}, of which {path} has no caption; the two files do not match"
            )
    files = locate_images(protocol, [(name,) for name in rows], images, path.parent)
    listed_images = [image_of_protocol(file, name) for file, name in zip(files, rows, strict=True)]
    return assemble(_named(protocol, split), listed_images, texts, links)


def _file_name(path: Path, image: dict[str, Any]) -> str:
    name = image.get("filename")
    if not isinstance(name, str) or not name:
        raise CorpusFormatError(str(path), "a picture has no 'filename'", "Download the file again")
    return name


def _named(protocol: Protocol, split: str) -> str:
    return protocol.name if split == protocol.split else f"{protocol.name}-{split}"

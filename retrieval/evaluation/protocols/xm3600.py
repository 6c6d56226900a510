"""XM3600 (Crossmodal-3600): 3,600 images from around the world with captions in 36 languages."""

from __future__ import annotations

from pathlib import Path

from retrieval.errors import CorpusFormatError, EvaluationError
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
from retrieval.evaluation.protocols.reading import find_file, read_json_lines
from retrieval.types import CorpusText
from retrieval.uris import file_uri

XM3600 = Protocol(
    name="xm3600",
    title="Crossmodal-3600",
    source="Thapliyal et al., EMNLP 2022 (google.github.io/crossmodal-3600)",
    layout="captions.jsonl with images/KEY.jpg",
    denominators="every caption of one language (text to image) and every picture (image to text); a "
    "picture without a "
    "caption in that language is a miss",
    split="all",
    sizes={"all": Size(3600, None)},
    headline=("hit rate@1", "hit rate@5", "hit rate@10"),
    images="the 3,600 pictures, KEY.jpg",
)
_NO_LANGUAGE = {"image/key", "image/locale"}


def load_xm3600(corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """XM3600 in one language, ``en`` unless chosen; its 36 include ``zh``, ``fil``, ``mi`` and ``quz``."""
    if options.split not in (None, XM3600.split):
        raise EvaluationError(
            f"Crossmodal-3600 has no split {options.split!r}; all its pictures are for testing"
        )
    path = find_file(corpus, ("captions.jsonl",), XM3600.layout)
    language = options.language or "en"
    keys: dict[str, int] = {}
    texts: list[CorpusText] = []
    links: list[tuple[int, int]] = []
    for number, record in read_json_lines(path):
        place, key = f"{path}:{number}", record.get("image/key")
        if not isinstance(key, str):
            raise CorpusFormatError(place, "there is no image/key", f"Give {XM3600.layout}")
        if key in keys:
            raise EvaluationError(f"{place} names picture {key} again; every picture needs an id of its own")
        keys[key] = len(keys)
        if language not in record:
            there = ", ".join(sorted(set(record) - _NO_LANGUAGE))
            raise EvaluationError(
                f"{place} has no captions in {language!r}, it has {there}; choose one with --lang"
            )
        captions = record[language].get("caption") if isinstance(record[language], dict) else None
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            raise CorpusFormatError(place, f"{language} has no list 'caption'", f"Give {XM3600.layout}")
        for n, caption in enumerate(captions):
            links.append((keys[key], len(texts)))
            texts.append(
                CorpusText(
                    file_uri(path, f"{key}#{language}#{n}"), caption, f"{key}#{language}#{n}", language
                )
            )
    names = [(f"{key}.jpg", f"images/{key}.jpg") for key in keys]
    files = locate_images(XM3600, names, options.images, path.parent)
    images = [image_of_protocol(file, key) for file, key in zip(files, keys, strict=True)]
    loaded = assemble(f"xm3600-{language}", images, texts, links, language=language)
    return as_chosen(check_sizes(XM3600, XM3600.split, loaded, path), options)

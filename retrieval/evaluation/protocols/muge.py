"""MUGE (Multimodal Retrieval): 5,008 Chinese product queries against 29,806 images, text to image only."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from pathlib import Path
from typing import Any

from retrieval.errors import CorpusFormatError, EvaluationError
from retrieval.evaluation.evaluation_set import EvaluationSet, assemble
from retrieval.evaluation.protocols.protocol import Protocol, ProtocolOptions, Size, check_sizes
from retrieval.evaluation.protocols.reading import find_file, read_json_lines, read_lines
from retrieval.types import CorpusImage, CorpusText, InlineBytes
from retrieval.uris import file_uri

MUGE = Protocol(
    name="muge",
    title="MUGE",
    source="Lin et al., KDD 2021 (M6); the valid split, as Chinese-CLIP evaluates (the test split has no "
    "answers)",
    layout="MR_valid_imgs.tsv and MR_valid_queries.jsonl, or Chinese-CLIP's valid_imgs.tsv and "
    "valid_texts.jsonl",
    denominators="every query, text to image only; a query has about six pictures, and one of them is enough",
    split="valid",
    sizes={"valid": Size(29806, 5008)},
    headline=("hit rate@1", "hit rate@5", "hit rate@10", "MR"),
    images="MR_valid_imgs.tsv",
    mistakes={
        129380: "that is the train split",
        30399: "that is the test split, whose answers are not published",
    },
)


def load_muge(corpus: Path, options: ProtocolOptions) -> EvaluationSet:
    """MUGE's queries and base64 images; holds the images' bytes in memory (about 0.5 GB for valid)."""
    if options.captions != "all" or options.folds is not None:
        raise EvaluationError("MUGE is evaluated whole: leave --captions and --folds out")
    split = options.split or MUGE.split
    folder = corpus.parent if corpus.is_file() else corpus
    table = find_file(folder, (f"MR_{split}_imgs.tsv", f"{split}_imgs.tsv"), MUGE.layout)
    queries = find_file(folder, (f"MR_{split}_queries.jsonl", f"{split}_texts.jsonl"), MUGE.layout)
    images = _read_images(table)
    rows = {image.key: row for row, image in enumerate(images)}
    texts: list[CorpusText] = []
    links: list[tuple[int, int]] = []
    for number, record in read_json_lines(queries):
        key, text, answers = _query(f"{queries}:{number}", record, split)
        for answer in answers:
            if str(answer) not in rows:
                raise EvaluationError(
                    f"{queries}:{number} names picture {answer}, which is not in {table.name}; the two "
                    f"files are of "
                    "different splits or one is cut short"
                )
            links.append((rows[str(answer)], len(texts)))
        texts.append(CorpusText(file_uri(queries, f"query={key}"), text, key, "zh"))
    name = MUGE.name if split == MUGE.split else f"{MUGE.name}-{split}"
    loaded = assemble(name, images, texts, links, language="zh")
    one_way = replace(loaded, directions={"text to image": loaded.directions["text to image"]})
    return check_sizes(MUGE, split, one_way, folder)


def _query(place: str, record: dict[str, Any], split: str) -> tuple[str, str, list[Any]]:
    key = record.get("query_id", record.get("text_id"))
    text = record.get("query_text", record.get("text"))
    answers = record.get("item_ids", record.get("image_ids"))
    if key is None or not isinstance(text, str) or not text.strip():
        raise CorpusFormatError(
            place, "there is no query_id and query_text (or text_id and text)", f"Give {MUGE.layout}"
        )
    if not isinstance(answers, list) or not answers:
        if split == "test":
            raise EvaluationError(
                f"{place}: the test split of MUGE has no answers (item_ids); evaluate --split valid"
            )
        raise CorpusFormatError(place, f"query {key} has no item_ids (or image_ids)", f"Give {MUGE.layout}")
    return str(key), text, answers


def _read_images(table: Path) -> list[CorpusImage]:
    images: list[CorpusImage] = []
    seen: set[str] = set()
    for number, line in read_lines(table):
        key, tab, encoded = line.partition("\t")
        if not tab or key in seen:
            fault = f"picture {key} is listed twice" if tab else "there is no tab between id and picture"
            raise CorpusFormatError(f"{table}:{number}", fault, f"Give {MUGE.layout}")
        seen.add(key)
        try:  # the file is published in the plain alphabet, some copies in the one for URLs
            data = base64.b64decode(encoded.strip().translate(str.maketrans("-_", "+/")), validate=True)
        except (binascii.Error, ValueError) as error:
            raise CorpusFormatError(
                f"{table}:{number}", "the picture is not base64", "Download it again"
            ) from error
        images.append(CorpusImage(file_uri(table, f"image={key}"), InlineBytes(data), key))
    return images

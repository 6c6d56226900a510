"""The formats that are known, in the order in which they are asked whether a file is theirs."""

from __future__ import annotations

from retrieval.corpora.format import Format
from retrieval.corpora.formats import (
    coco,
    delimited,
    flickr,
    folder,
    jsonl,
    karpathy,
    lines,
    parquet,
    urls,
    webdataset,
)

FORMATS: tuple[Format, ...] = (
    folder.FORMAT,
    webdataset.FORMAT,
    parquet.FORMAT,
    jsonl.FORMAT,
    coco.FORMAT,
    karpathy.FORMAT,
    flickr.FORMAT,
    urls.FORMAT,
    delimited.TSV,
    delimited.CSV,
    lines.FORMAT,  # last: any text is one
)

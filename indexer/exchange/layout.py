"""The folder of npy and Parquet files that clip-retrieval reads and writes, and what vlsearch adds to it.

``img_emb/img_emb_0000.npy``, ``text_emb/text_emb_0000.npy`` and ``metadata/metadata_0000.parquet`` have the same
rows (https://github.com/rom1504/clip-retrieval, "clip inference"). A row of zeros stands where an image has no
caption, a caption no image, or where an image stands in an earlier row with its first caption. Extra columns and
``vlsearch.json`` carry what a collection knows beyond that; clip-retrieval ignores both.
"""

from __future__ import annotations

IMAGES, TEXTS, METADATA = "img_emb", "text_emb", "metadata"
MANIFEST = "vlsearch.json"
MANIFEST_VERSION = 1
HIDING_VERSION = 2  # with a list of hidden uris, which a program that does not know it would show
MANIFEST_BYTES = 2**26  # a million hidden uris
NUMBERS = ("image_width", "image_height")
COLUMNS = (
    "image_path",
    "caption",
    "url",
    "image_uri",
    "image_key",
    "image_sha256",
    "image_width",
    "image_height",
    "image_attributes",
    "image_stamp",
    "image_extent",
    "image_texts",
    "caption_uri",
    "caption_key",
    "caption_lang",
    "caption_attributes",
)
"""The first three are clip-retrieval's. ``*_attributes`` are JSON objects, ``image_sha256`` is hexadecimal.

``image_texts`` are the image's texts that are not captions: a JSON object of maker, text and boxes by origin."""

EMPTY_ROW: dict[str, str | int] = {column: 0 if column in NUMBERS else "" for column in COLUMNS}
"""A cell that has nothing to say. None is null: clip-retrieval asks the file system for the ``image_path`` of a hit."""

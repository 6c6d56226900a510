"""Optional packages: which of them an extra of vlsearch installs, and what is said where one is missing.

Whatever needs an extra asks :func:`require` before it starts, and imports the packages where it uses them.
``tests/test_extras.py`` compares the table with ``pyproject.toml``.
"""

from __future__ import annotations

from importlib.util import find_spec

from retrieval.errors import MissingExtra

EXTRAS = {
    "cross-encoder": ("sentence_transformers",),
    "heic": ("pillow_heif",),
    "jxl": ("pillow_jxl",),
    "lora": ("peft",),
    "map": ("openTSNE",),
    "mcp": ("mcp",),
    "models": ("torch", "torchvision", "transformers"),
    "ocr": ("onnxruntime", "rapidocr"),
    "openvino": ("openvino",),
    "parquet": ("pyarrow",),
    "pdf": ("pypdfium2",),
    "plot": ("matplotlib",),
    "postgres": ("psycopg",),
    "preview": ("textual_image",),
    "raw": ("rawpy",),
    "ray": ("ray",),
    "report": ("jinja2", "matplotlib"),
    "s3": ("botocore",),
    "serve": ("fastapi", "prometheus_client", "uvicorn"),
    "video": ("av",),
    "watch": ("watchfiles",),
}
"""Packages that an extra installs, by the names that they are imported by."""


def is_installed(extra: str) -> bool:
    """Whether every package of an extra can be imported; imports none."""
    return all(find_spec(package) is not None for package in EXTRAS[extra])


def require(extra: str, purpose: str) -> None:
    """Refuse to go on without the packages of an extra.

    Args:
        extra: a name in :data:`EXTRAS`.
        purpose: what needs them, the subject of the sentence.

    Raises:
        MissingExtra: one of them is not installed.
    """
    if not is_installed(extra):
        raise MissingExtra(purpose, extra)

"""Vectors of an evaluation set, encoded once for each model and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.decoding.ordered import READ_AHEAD, map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage, read_encoded
from retrieval.encoders.batches import INDEXING, Batches
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.errors import EvaluationError, ImageError, UsageError
from retrieval.evaluation.evaluation_set import EvaluationSet
from retrieval.texts import normalise_text
from retrieval.types import CorpusImage, Limits, OnProgress, Progress, ignore_progress

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

LIMITS = Limits()
PLAIN = "{}"


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Vectors of an evaluation set.

    Attributes:
        images: (images, d) float32 unit rows.
        texts: (texts, d) float32 unit rows; of several templates, the mean, scaled to unit length.
        data: sha256 (hex) of the images' bytes and of the texts with their templates, in order.
        cached: whether all of it came from the cache.
        seconds: time spent, reading included.
    """

    images: NDArray[np.float32]
    texts: NDArray[np.float32]
    data: str
    cached: bool
    seconds: float


def embed(
    encoder: Encoder,
    evaluated: EvaluationSet,
    templates: Sequence[str] = (PLAIN,),
    cache: Path | None = None,
    advance: OnProgress | None = None,
    limits: Limits = LIMITS,
    batches: Batches = INDEXING,
) -> Embedded:
    """Give the vectors of all images and texts by one encoder, from the cache where it has them.

    The key is the encoder's identity and the content: bytes of the images, words of the texts, templates. A
    file that changed is encoded again, a moved one is not.

    Args:
        encoder: float32, unless its identity says otherwise.
        evaluated: what to encode.
        templates: each holds ``{}``, which is replaced by the text.
        cache: folder; by default ``embeddings`` in the user's cache folder of vlsearch.
        advance: called with the progress.
        limits: what is accepted of an image.
        batches: rows of a forward pass, which decide a vector's last bits.

    Raises:
        EvaluationError: an image cannot be read or decoded: figures over fewer images would be other
            figures.
        UsageError: a template has no ``{}``.
    """
    start = time.perf_counter()
    words = [text.text for text in evaluated.texts]
    images, had_images, seen = embed_images(encoder, evaluated.images, cache, advance, limits, batches.images)
    texts, had_texts = embed_texts(encoder, words, templates, cache, advance, batches.texts)
    data = hashlib.sha256((seen + _text_digest(words, templates)).encode()).hexdigest()
    return Embedded(images, texts, data, had_images and had_texts, time.perf_counter() - start)


def embed_images(
    encoder: Encoder,
    images: Sequence[CorpusImage],
    cache: Path | None = None,
    advance: OnProgress | None = None,
    limits: Limits = LIMITS,
    batch: int = INDEXING.images,
) -> tuple[NDArray[np.float32], bool, str]:
    """Give the vectors of images, (n, d) float32 unit rows, whether they were cached, and the digest of their bytes."""
    tell = advance or ignore_progress
    seen = _image_digest(images, limits, tell)
    rows, had = _cached(
        cache if cache is not None else default_cache(),
        _key(encoder, "image", batch, seen if limits.pixels == LIMITS.pixels else f"{seen} {limits.pixels}"),
        lambda: _encode_images(encoder, images, batch, limits, tell),
    )
    return rows, had, seen


def embed_texts(
    encoder: Encoder,
    words: Sequence[str],
    templates: Sequence[str] = (PLAIN,),
    cache: Path | None = None,
    advance: OnProgress | None = None,
    batch: int = INDEXING.texts,
) -> tuple[NDArray[np.float32], bool]:
    """Give the vectors of texts, (n, d) float32 unit rows, and whether they were cached.

    Texts are NFC-normalised and stripped first, as collections and queries do it. Each is put into every
    template; the mean of the unit vectors is scaled to unit length again (the prompt ensemble of Radford et
    al., ICML 2021, section 3.1.4). With one template no mean is taken.
    """
    check_templates(templates)
    words = [normalise_text(text) for text in words]
    tell = advance or ignore_progress
    return _cached(
        cache if cache is not None else default_cache(),
        _key(encoder, "text", batch, _text_digest(words, templates)),
        lambda: _encode_texts(encoder, words, templates, batch, tell),
    )


def check_templates(templates: Sequence[str]) -> None:
    """Refuse a template without ``{}``.

    Raises:
        UsageError: one has no ``{}``.
    """
    for template in templates:
        if "{}" not in template:
            raise UsageError(
                f"template {template!r} has no {{}} where the text goes, as in 'a photo of {{}}'"
            )


def default_cache() -> Path:
    """Give the default folder of cached embeddings."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("vlsearch", appauthor=False)) / "embeddings"


def _key(encoder: Encoder, kind: str, batch: int, content: str) -> str:
    facts = json.dumps([encoder.identity.exact_digest, kind, batch, content])
    return f"{kind}-{hashlib.sha256(facts.encode()).hexdigest()[:40]}"


def _text_digest(words: Sequence[str], templates: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([list(templates), list(words)]).encode()).hexdigest()


def _cached(
    folder: Path, key: str, encode: Callable[[], NDArray[np.float32]]
) -> tuple[NDArray[np.float32], bool]:
    """Give the array cached under a key, or compute and cache it; a damaged file is computed and replaced."""
    path = folder / f"{key}.npy"
    try:
        rows: NDArray[np.float32] = np.load(path, allow_pickle=False)
        if rows.dtype == np.float32 and rows.ndim == 2:
            return rows, True
    except (OSError, ValueError, EOFError):
        pass  # not there, or cut short by a full disk: encoding makes it whole
    rows = encode()
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".npy")
    with os.fdopen(handle, "wb") as file:
        np.save(file, rows)
    Path(temporary).replace(path)
    return rows, False


def _image_digest(images: Sequence[CorpusImage], limits: Limits, advance: OnProgress) -> str:
    """Digest of the images' bytes, in order: reading takes a second where encoding takes minutes."""
    digest = hashlib.sha256()
    for done, image in enumerate(images, 1):
        try:
            digest.update(read_encoded(image.location, limits).digest)
        except ImageError as error:
            raise undecodable(image, error) from error
        advance(Progress("reading", done, len(images)))
    return digest.hexdigest()


def _encode_images(
    encoder: Encoder, images: Sequence[CorpusImage], batch: int, limits: Limits, advance: OnProgress
) -> NDArray[np.float32]:
    rows: list[NDArray[np.float32]] = []
    prepared: list[NDArray[Any]] = []
    with DecodePool(limits) as pool:

        def read(image: CorpusImage) -> PreparedImage:
            return prepare_for_encoder(pool, image.location, encoder)

        outcomes = map_in_order(read, images, pool.workers, READ_AHEAD, threading.Event())
        for done, (image, outcome) in enumerate(outcomes, start=1):
            if isinstance(outcome, ImageError):
                raise undecodable(image, outcome) from outcome
            assert outcome.array is not None, "nothing was said of not wanting it"
            prepared.append(outcome.array)
            if len(prepared) == batch or done == len(images):
                rows.append(encoder.encode_prepared(prepared, batch))
                prepared = []
                advance(Progress("encoding pictures", done, len(images)))
    return np.concatenate(rows)


def _encode_texts(
    encoder: Encoder, words: Sequence[str], templates: Sequence[str], batch: int, advance: OnProgress
) -> NDArray[np.float32]:
    distinct = {text: row for row, text in enumerate(dict.fromkeys(words))}
    encoded: list[NDArray[np.float32]] = []
    done = 0
    for template in templates:
        rows = []
        filled = [template.replace("{}", text) for text in distinct]
        for start in range(0, len(filled), batch):
            some = filled[start : start + batch]
            rows.append(encoder.encode_texts(some, batch))
            done += len(some)
            advance(Progress("encoding texts", done, len(distinct) * len(templates)))
        encoded.append(np.concatenate(rows))
    unit = encoded[0] if len(encoded) == 1 else _unit_mean(encoded)
    return np.ascontiguousarray(unit[[distinct[text] for text in words]])


def _unit_mean(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    total = np.sum(parts, axis=0, dtype=np.float64)
    unit: NDArray[np.float32] = (total / np.linalg.norm(total, axis=1, keepdims=True)).astype(np.float32)
    return unit


def undecodable(image: CorpusImage, error: ImageError) -> EvaluationError:
    """Give the error of an image that cannot be decoded."""
    return EvaluationError(
        f"{image.uri}: {error}; figures over fewer pictures would be other figures, so mend or replace it"
    )

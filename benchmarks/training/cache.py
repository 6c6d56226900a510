"""CPU time of a training picture: decoded anew in each epoch, or out of the memory-mapped cache; and varied.

    python -m benchmarks.training.cache CORPUS.tar

Rewrites cache.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from threading import Event

import numpy as np
from PIL.Image import Image

from benchmarks.provenance import markdown_table, provenance, write_table
from indexer.training.augment import Augmentation, augment_image
from indexer.training.image_cache import LONGEST, CacheRule, cache_images
from indexer.training.listing import list_corpus
from retrieval.corpora import CorpusOptions, open_corpus
from retrieval.decoding.preparations import Shrink
from retrieval.encoders.two_tower import ImageConfig
from retrieval.images import decode
from retrieval.locations.fetch import read_bytes
from retrieval.types import Limits

COUNT, SIDE, REPEATS = 300, 224, 3
TABLE = Path(__file__).with_suffix(".md")


def cpu_ms(work: Callable[[], None]) -> float:
    """The least of some repeats, in milliseconds of CPU a picture: other work on the machine does not count."""
    spent = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        spent.append((time.process_time() - start) / COUNT * 1000)
    return min(spent)


def main(corpus: str) -> None:
    """Rewrite the table."""
    listing = list_corpus(islice(open_corpus(corpus, CorpusOptions()).entries(), COUNT))
    limits = Limits()
    with tempfile.TemporaryDirectory() as folder:
        rule = CacheRule(Shrink(SIDE, LONGEST), f"short side {SIDE}")
        cached = cache_images(listing, rule, Path(folder), limits, 2, lambda _: None, Event())

        def decode_all() -> None:
            for one in listing.entries:
                Shrink(SIDE, LONGEST).prepare(decode(read_bytes(one.image.location, limits), limits, SIDE))

        def read_all() -> None:
            for row in range(len(cached)):
                np.array(cached[row])

        def vary_all() -> None:
            for row in range(len(cached)):
                view: Image = augment_image(
                    cached[row], False, True, Augmentation(), np.random.default_rng(row)
                )
                ImageConfig(size=SIDE).preparation.prepare(view)

        work = {
            "read and decode (JPEG, short side 224)": decode_all,
            "read out of the cache": read_all,
            "crop, light, resize to 224 (either way)": vary_all,
        }
        rows = [(name, f"{cpu_ms(one):.2f}") for name, one in work.items()]
    note = f"{COUNT} images, least of {REPEATS} repeats, CPU time of one thread"
    head = provenance("python -m benchmarks.training.cache CORPUS.tar", files=[Path(corpus)], note=note)
    table = markdown_table(("of an image", "CPU, ms"), rows)
    write_table(TABLE, ["# Decoding in each epoch against the cache", "", *head, "", *table])


if __name__ == "__main__":
    main(sys.argv[1])

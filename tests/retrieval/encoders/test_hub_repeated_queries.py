"""Words that were asked of a hub model before are asked again without importing torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import indexer
import retrieval
from retrieval.encoders.base import encode_asked_text

ASK_AGAIN = """
import sys
import numpy as np
import pytest
from pathlib import Path
from retrieval.collection import Collection
from retrieval.query.text_cache import keep_vectors

collection, vector = sys.argv[1:3]
with Collection.open(collection) as opened:
    keep_vectors(opened.identity, {"two dogs": np.load(vector)})
sys.argv = ["vlsearch", "query", "two dogs", "--json", "--collection", collection]
from retrieval.cli.start import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(sorted({"torch", "torchvision", "transformers", "tokenizers"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.slow  # by itself: in whole runs it imports tokenizers, from a cause that is not found yet
def test_words_asked_before_are_answered_without_torch_and_with_the_same_scores(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    collection = tmp_path / "collection"
    with indexer.open_writer(collection, model=tiny("clip")) as writer:
        writer.add("dogs", "two dogs in the snow")
        writer.add("cats", "cats on a red ball")
    with retrieval.open(collection) as engine:
        expected = [(hit.key, hit.score) for hit in engine.search("two dogs", find="text")]
        np.save(tmp_path / "vector.npy", encode_asked_text(engine.encoder, "two dogs"))

    done = subprocess.run(
        [sys.executable, "-c", ASK_AGAIN, collection, tmp_path / "vector.npy"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "VLSEARCH_QUERY_CACHE": str(tmp_path / "kept")},
    )

    found = [(hit["key"], hit["score"]) for hit in map(json.loads, done.stdout.splitlines())]
    assert found == expected
    assert done.stderr.splitlines()[-1] == "[]"

"""Start clip-retrieval's own back end on an index, without its model; run by a Python that has clip-retrieval.

    PYTHON clip_retrieval_backend.py FOLDER PORT

FOLDER holds ``indices.json`` and what that names. Vectors are asked with, so the package that loads CLIP models is
replaced by one that loads none; so are the package's own ``__init__``, which imports what indexing needs, and its page.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def replace_module(name: str, **attributes: Any) -> None:
    """Have a module be one with these attributes alone."""
    module = ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module


def main() -> None:
    """Answer until interrupted."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    found = importlib.util.find_spec("clip_retrieval")
    assert found is not None, "this Python has clip-retrieval"
    replace_module("clip_retrieval", __path__=list(found.submodule_search_locations or ()))
    replace_module("clip_retrieval.clip_front", add_static_endpoints=lambda *_: None)
    replace_module("all_clip", load_clip=lambda *_, **__: (None, None, None))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else each request writes a line
    importlib.import_module("clip_retrieval.clip_back").clip_back(
        indices_paths=str(folder / "indices.json"),
        port=port,
        enable_faiss_memory_mapping=True,
        columns_to_return=["image_path", "caption"],
        enable_mclip_option=False,
        use_jit=False,
        provide_aesthetic_embeddings=False,
    )


if __name__ == "__main__":
    main()

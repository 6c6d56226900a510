"""Cross-encoders of sentence-transformers 5.4 and later that take images: a text and an image in, one score out.

Such a folder has ``modules.json``: a transformer that sees both (Qwen3-VL and others, by its own chat template), and a
module that makes a number of its output, most often the log-odds of "yes" against "no" (``LogitScore``). The library
itself builds and runs them, in float32 and one pair at a time, so that a score is a function of its pair alone. What it
opens stands in a private folder: configurations that were checked, safetensors, the tokenizer and the chat template,
which the library runs in a sandbox; modules are the library's own, named here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.decoding.preparations import Fit
from retrieval.errors import ModelError, first_line
from retrieval.hub.checkpoint import CONFIG, Checkpoint, read_checkpoint, read_json, weight_files
from retrieval.hub.inference import inference
from retrieval.hub.library_folder import check_weights, library_folder, take_tokenizer, write_json
from retrieval.hub.library_model import quiet
from retrieval.json_files import parse_object, read_regular

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODULES = "modules.json"
LONGEST = 2048  # pixels of the longer side that a worker process hands on
FILE_BYTES = 2**16  # of a list of modules or a chat template

_SETTINGS = "config_sentence_transformers.json"
_TRANSFORMER_CONFIG = "sentence_bert_config.json"
_MOST_MODULES = 8

_TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"
_LOGIT_SCORE = "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"
_MODULES = {"Transformer": _TRANSFORMER, "LogitScore": _LOGIT_SCORE}
"""Modules that a folder may name, by the last part of their names, which stood elsewhere in other versions."""

_KEPT = {
    _TRANSFORMER: ("transformer_task", "modality_config", "module_output_name", "max_seq_length"),
    _LOGIT_SCORE: ("true_token_id", "false_token_id", "module_input_name"),
}
"""Fields of the modules' configurations that the library gets."""

_PROCESSORS = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
_TEMPLATE = "chat_template.jinja"
_METHODS = frozenset({"forward"})


def is_cross_encoder(folder: Path) -> bool:
    """Whether a folder has modules of sentence-transformers."""
    return (folder / MODULES).is_file()


def load_cross_encoder(
    folder: Path, name: str | None = None, device: str | None = None
) -> CrossEncoderReranker:
    """Load the cross-encoder of a local folder, in float32.

    Args:
        folder: as ``CrossEncoder.save_pretrained`` writes it.
        name: what it is called; the absolute folder by default.
        device: as torch names it; the CPU by default.

    Raises:
        ModelError: a file is missing, damaged or refused, it takes no images, or the device cannot be had.
    """
    import torch
    from sentence_transformers import CrossEncoder

    folder = folder.absolute()
    checkpoint = read_checkpoint(folder)
    files = weight_files(folder)
    check_weights(checkpoint, files)
    with quiet(), library_folder(checkpoint, files) as private, _refusals(folder):
        _take_modules(checkpoint, private)
        model = CrossEncoder(
            str(private),
            device=device or "cpu",
            local_files_only=True,
            trust_remote_code=False,
            activation_fn=torch.nn.Identity(),  # log-odds: their sigmoid is equal for all hits that are surely right
            model_kwargs={"use_safetensors": True, "dtype": torch.float32},
        )
    if "image" not in model.modalities or "text" not in model.modalities:
        raise ModelError(
            f"{folder}: this cross-encoder reads {' and '.join(model.modalities)}, not images and text"
        )
    return CrossEncoderReranker(name or str(folder), model.eval())


class CrossEncoderReranker:
    """A cross-encoder as :class:`retrieval.rerankers.base.Reranker`.

    Args:
        name: what it is called.
        model: of sentence-transformers, in evaluation mode.
    """

    def __init__(self, name: str, model: Any) -> None:
        self._name, self._model = name, model

    @property
    def name(self) -> str:
        """See :class:`retrieval.rerankers.base.Reranker`."""
        return self._name

    @property
    def preparation(self) -> Fit:
        """See :class:`retrieval.rerankers.base.Reranker`; the library's processor makes it the size that it sees."""
        return Fit(LONGEST)

    def check(self, text: str) -> None:
        """See :class:`retrieval.rerankers.base.Reranker`; its languages are not known, so all are taken."""

    def score(self, prepared: NDArray[np.uint8], texts: Sequence[str]) -> list[float]:
        """See :class:`retrieval.rerankers.base.Reranker`."""
        from PIL import Image

        image = Image.fromarray(prepared)
        with inference(self._name):
            found = [
                self._model.predict([(text, image)], batch_size=1, show_progress_bar=False) for text in texts
            ]
        if any(len(one) != 1 or getattr(one[0], "shape", ()) != () for one in found):
            raise ModelError(
                f"{self._name} gives more than one number for an image and a text; use another model"
            )
        scores = [float(one[0]) for one in found]
        if not all(map(math.isfinite, scores)):
            raise ModelError(f"{self._name} gives scores that are not numbers; use another model")
        return scores


def _take_modules(checkpoint: Checkpoint, private: Path) -> None:
    """Write what sentence-transformers needs beside a model's configuration and weights.

    Raises:
        ModelError: a module is not one of the library's that are known here, or a file is damaged.
    """
    folder = checkpoint.folder
    modules = _modules(folder)
    (private / MODULES).write_text(json.dumps(modules), encoding="utf-8")
    write_json(private / _SETTINGS, _settings(folder))
    for module in modules:
        file = _TRANSFORMER_CONFIG if module["type"] == _TRANSFORMER else CONFIG
        read = _checked(folder / module["path"] / file)
        (private / module["path"]).mkdir(exist_ok=True)
        kept = {key: value for key, value in read.items() if key in _KEPT[module["type"]]}
        write_json(private / module["path"] / file, kept)
    for name in _PROCESSORS:
        if (folder / name).is_file():
            write_json(private / name, _checked(folder / name))
    take_tokenizer(folder, private)
    if (folder / _TEMPLATE).is_file():
        (private / _TEMPLATE).write_bytes(_bytes(folder / _TEMPLATE))


def _modules(folder: Path) -> list[dict[str, Any]]:
    """Read ``modules.json``: a transformer in the folder itself, then modules in folders of it."""
    try:
        read = parse_object(b'{"modules":%s}' % _bytes(folder / MODULES))["modules"]
    except ValueError as error:
        raise ModelError(f"{folder / MODULES} {error}; download the model again") from error
    listed = read if isinstance(read, list) else []
    modules = [_module(folder, number, found) for number, found in enumerate(listed[:_MOST_MODULES])]
    if not modules or modules[0]["type"] != _TRANSFORMER or len(listed) > _MOST_MODULES:
        raise ModelError(f"{folder / MODULES} does not begin with a transformer; download the model again")
    return modules


def _module(folder: Path, number: int, found: object) -> dict[str, Any]:
    entry = found if isinstance(found, dict) else {}
    kind, path = str(entry.get("type")), str(entry.get("path"))
    package, _, last = kind.rpartition(".")
    at_place = path == "" if number == 0 else re.fullmatch(r"\d+_[A-Za-z]+", path) is not None
    if package.partition(".")[0] != "sentence_transformers" or last not in _MODULES or not at_place:
        raise ModelError(
            f"{folder / MODULES} names the module {kind[:100]!r} in the folder {path[:100]!r}, which vlsearch does not "
            "run; use another model"
        )
    return {"idx": number, "name": str(number), "path": path, "type": _MODULES[last]}


def _settings(folder: Path) -> dict[str, Any]:
    """Read the prompts with which the model was trained."""
    read = _checked(folder / _SETTINGS) if (folder / _SETTINGS).is_file() else {}
    prompts, default = read.get("prompts") or {}, read.get("default_prompt_name")
    texts = isinstance(prompts, dict) and all(isinstance(prompt, str) for prompt in prompts.values())
    if not texts or not (default is None or default in prompts):
        raise ModelError(f"{folder / _SETTINGS} has prompts that are not texts; download the model again")
    return {"model_type": "CrossEncoder", "prompts": prompts, "default_prompt_name": default}


def _checked(file: Path) -> dict[str, Any]:
    """Read a configuration.

    Raises:
        ModelError: it is missing or damaged, or names code or other methods of a model than those that compute.
    """
    read = read_json(file)
    modalities = read.get("modality_config", {})
    listed = list(modalities.values()) if isinstance(modalities, dict) else [None]
    methods = [one.get("method") if isinstance(one, dict) else None for one in listed]
    if "auto_map" in json.dumps(read) or any(method not in _METHODS for method in methods):
        raise ModelError(f"{file} asks for code that vlsearch does not run; use another model")
    return read


def _bytes(file: Path) -> bytes:
    try:
        return read_regular(file, FILE_BYTES)
    except OSError as error:
        raise ModelError(f"{file} cannot be read ({error.strerror}); download the model again") from error
    except ValueError as error:
        raise ModelError(f"{file} {error}; download the model again") from error


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    """Say in one sentence why the library does not load a model; what its files say can raise anything at all."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise ModelError(
            f"{folder} cannot be loaded as a cross-encoder ({reason:.300}); use another model"
        ) from error

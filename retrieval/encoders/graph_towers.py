"""A hub checkpoint's towers as graphs that OpenVINO runs: made once from torch's, and then used without torch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.family import Attention, FixedSizeInputs, ImageInputs
from retrieval.encoders.runtimes import derived_cache
from retrieval.encoders.runtimes.choice import PRECISION_VARIABLE, VARIABLE, Computation, Precision
from retrieval.encoders.runtimes.numpy_graph import NumpyGraph
from retrieval.encoders.runtimes.openvino_bytes import GROUPS, linear_maps, weights_in_bytes
from retrieval.encoders.runtimes.openvino_graph import ComputedPrecision, OpenVinoGraph
from retrieval.encoders.runtimes.openvino_mlps import mlps_as_convolutions
from retrieval.errors import ModelError, last_line
from retrieval.identity import each_tower
from retrieval.openvino_runtime import import_openvino, openvino_core
from retrieval.processor import multiplies_bfloat16

if TYPE_CHECKING:
    from retrieval.encoders.families.tokens import Tokens
    from retrieval.encoders.hub_towers import HubTowers
    from retrieval.encoders.relevance import ImageExplainer
    from retrieval.encoders.runtimes.openvino_conversion import Comparison, Inputs
    from retrieval.types import Kind

_log = logging.getLogger(__name__)

PASS_IMAGES = 16
"""Images of a pass: with ViT-B/32 in bfloat16 as fast as 32, and 5 per cent faster than 8."""
LEAST_COSINES: Mapping[ComputedPrecision, float] = {"float32": 0.9999, "bfloat16": 0.99, "int8": 0.99}
"""Least cosine between a graph's row and torch's in float32."""
_ENOUGH = 0.995  # of bfloat16, for it to be chosen where nobody asks for it
_FORMAT = 3  # of an entry in the cache; another one where graphs are made otherwise
_IN_NUMPY = 3
"""Texts that a process is asked with before OpenVINO is set up for more: after as many it takes less time in all."""
_AT_ONCE = 4  # the images that are indexed together fill four passes
_TEXTS = ("a photograph of two dogs in the snow", "red", "one cat, on a mat")


@dataclass(frozen=True, slots=True)
class TowerFacts:
    """What is known of a tower's graph.

    Attributes:
        why_not: why there is none; empty where there is one.
        cosine: the least to torch's rows, in float32.
        bfloat16_cosine: the least in bfloat16.
        inputs: made up, with a first axis of 1, by which a graph is checked at every start: the shape of an image of
            noise, or token ids and, where it is an input, whether each is text.
        row: torch's vector of them.
        numpy_cosine: the least where numpy computes the graph; 0 where it cannot.
        linear_maps: how many there are, whose products int8 computes in bytes.
    """

    why_not: str = ""
    cosine: float = 0.0
    bfloat16_cosine: float = 0.0
    inputs: Sequence[list[Any]] = ()
    row: Sequence[float] = ()
    numpy_cosine: float = 0.0
    linear_maps: int = 0

    @property
    def why_not_in_int8(self) -> str:
        """Why it cannot be computed in int8; empty where it can."""
        return self.why_not or ("" if self.linear_maps else "its image tower has no linear maps")

    def precision(self, asked: Precision) -> ComputedPrecision:
        """Choose the precision to compute the graph in; where int8 is asked for, that of all that is not in bytes."""
        if asked != "auto" and asked != "int8":
            return asked
        return "bfloat16" if multiplies_bfloat16() and self.bfloat16_cosine >= _ENOUGH else "float32"


@dataclass(frozen=True, slots=True)
class Graphs:
    """The graphs of a checkpoint: a folder, and facts of both towers."""

    folder: Path
    image: TowerFacts
    text: TowerFacts


def find_or_make_graphs(
    weights: str,
    family: str,
    attention: Attention,
    images: ImageInputs,
    tokens: Tokens,
    load_torch: Callable[[], HubTowers],
) -> Graphs | None:
    """Find a checkpoint's graphs in the cache, or make them there; None where they cannot be kept.

    Args:
        weights: digest of them.
        family: its name.
        attention: of its text tower.
        images: makes the arguments of its image tower.
        tokens: its texts' rule.
        load_torch: gives the towers in float32; called only where graphs have to be made.

    Raises:
        ModelError: the checkpoint cannot be loaded.
    """
    facts = {
        "format": _FORMAT,
        "openvino": version("openvino"),
        "weights": weights,
        "family": family,
        "images": images.facts(),
        "texts": tokens.facts(),
    }
    key = derived_cache.key_of(facts)
    entry = derived_cache.find(key) or derived_cache.add(
        key, lambda folder: _make(folder, attention, images, tokens, load_torch())
    )
    if entry is None:
        return None
    try:
        return Graphs(entry.folder, *(TowerFacts(**entry.facts[kind]) for kind in ("image", "text")))
    except (KeyError, TypeError):  # of another program: a whole entry has both
        return None


class GraphTowers:
    """Towers of a hub checkpoint in OpenVINO, as :class:`retrieval.encoders.base.Towers`; without a graph, in torch.

    Args:
        graphs: of the checkpoint.
        asked: what is to compute them.
        name: of the model, for errors.
        load_torch: gives the towers in float32; called when one without a graph is first used.
    """

    def __init__(
        self, graphs: Graphs, asked: Computation, name: str, load_torch: Callable[[], HubTowers]
    ) -> None:
        self._graphs, self._name, self._load_torch = graphs, name, load_torch
        self._lock = threading.Lock()
        self._torch: HubTowers | None = None
        self._depends: dict[str, bool] = {}
        self._precisions: dict[str, ComputedPrecision] = {
            kind: "float32" if facts.why_not else facts.precision(asked.precision)
            for kind, facts in self._facts()
        }
        if asked.precision == "int8":
            self._precisions["image"] = "int8"
        self._towers = {
            kind: self._graph(kind, facts, self._precisions[kind])
            for kind, facts in self._facts()
            if not facts.why_not
        }
        chosen = asked.runtime != "auto" or asked.precision == "bfloat16"
        self._asks_in_float32 = "text" in self._towers and not chosen
        self._may_ask_numpy = graphs.text.numpy_cosine >= LEAST_COSINES["float32"]
        self._asked = 0

    @property
    def runtime(self) -> str:
        """What computes each tower, as an identity tells it."""
        names = ("openvino" if kind in self._towers else "torch" for kind in ("image", "text"))
        return each_tower(*names)

    @property
    def precision(self) -> str:
        """In what each tower is computed, as an identity tells it."""
        return each_tower(self._precisions["image"], self._precisions["text"])

    @property
    def tolerance(self) -> float:
        """See :class:`retrieval.encoders.base.Towers`."""
        return 1e-4 if set(self._precisions.values()) == {"float32"} else 0.05

    @property
    def largest_image_pass(self) -> int | None:
        """See :class:`retrieval.encoders.base.Towers`."""
        return PASS_IMAGES if "image" in self._towers else None

    @property
    def image_passes_at_once(self) -> int:
        """See :class:`retrieval.encoders.base.Towers`."""
        return self._towers["image"].passes_at_once if "image" in self._towers else 1

    def depends_on_place(self, kind: Kind) -> bool:
        """See :class:`retrieval.encoders.base.Towers`."""
        if kind not in self._towers:
            return self._in_torch().depends_on_place(kind)
        if kind == "image":
            with self._faults():
                return self._towers[kind].depends_on_place()
        if kind not in self._depends:  # asked before every call, and answered by a whole pass
            inputs = [part.repeat(PASS_IMAGES, 0) for part in _inputs(self._graphs.text, kind)]
            rows = self._rows(kind, *inputs)
            self._towers[kind].release_activations()
            self._depends[kind] = not bool((rows == rows[:1]).all())
        return self._depends[kind]

    def image_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        if "image" not in self._towers:
            return self._in_torch().image_rows(prepared)
        return self._rows("image", prepared)

    def text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.Towers`."""
        if "text" not in self._towers:
            return self._in_torch().text_rows(ids, is_text)
        return self._rows("text", *(ids, is_text)[: len(self._graphs.text.inputs)])

    def asked_text_row(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`retrieval.encoders.base.AskedTextTowers`; in float32, where neither is chosen by the caller.

        The first are computed by numpy, where it knows the graph, for it needs no time to come up; the others by
        OpenVINO.
        """
        if not self._asks_in_float32:
            return self.text_rows(ids, is_text)
        inputs = (ids, is_text)[: len(self._graphs.text.inputs)]
        self._asked += 1
        if self._may_ask_numpy and self._asked <= _IN_NUMPY and self._in_numpy is not None:
            return _unit(self._in_numpy.rows(*inputs))
        return self._rows_of(self._in_float32, *inputs)

    @cached_property
    def _in_numpy(self) -> NumpyGraph | None:
        try:
            return NumpyGraph(self._graphs.folder / "text.xml")
        except (OSError, ValueError) as error:  # it has gone since the start: OpenVINO says so
            _log.info("%s: the graph of texts cannot be read: %s", self._name, error)
            return None

    @cached_property
    def _in_float32(self) -> OpenVinoGraph:
        if self._precisions["text"] == "float32":
            return self._towers["text"]
        return self._graph("text", self._graphs.text, "float32")

    def image_explainer(self) -> ImageExplainer | None:
        """See :class:`retrieval.encoders.relevance.ExplainingTowers`; in torch, which has gradients."""
        return self._in_torch().image_explainer()

    def _rows(self, kind: str, *inputs: NDArray[Any]) -> NDArray[np.float32]:
        return self._rows_of(self._towers[kind], *inputs)

    def _rows_of(self, graph: OpenVinoGraph, *inputs: NDArray[Any]) -> NDArray[np.float32]:
        with self._faults():
            return _unit(graph.rows(*inputs))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (ImportError, RuntimeError) as error:  # of OpenVINO: the graph is compiled at its first use
            reason = last_line(error)
            raise ModelError(
                f"OpenVINO cannot compute {self._name} on this machine ({reason}); "
                f"use the runtime torch, with {VARIABLE}=torch"
            ) from error

    def _facts(self) -> tuple[tuple[str, TowerFacts], ...]:
        return (("image", self._graphs.image), ("text", self._graphs.text))

    def _graph(self, kind: str, facts: TowerFacts, precision: ComputedPrecision) -> OpenVinoGraph:
        file = self._graphs.folder / f"{kind}.xml"

        def check(rows: Callable[..., NDArray[np.float32]]) -> None:
            row = rows(*_inputs(facts, kind))[0]
            cosine = float(row @ np.array(facts.row, np.float32) / max(float(np.linalg.norm(row)), 1e-12))
            if not cosine >= LEAST_COSINES[precision]:
                what = "an image" if kind == "image" else "a text"
                instead = f"{VARIABLE}=torch" if precision == "float32" else f"{PRECISION_VARIABLE}=float32"
                raise ModelError(
                    f"{self._name}: OpenVINO gives a vector of {what} with a cosine of {cosine:.4f} to torch's, less "
                    f"than {LEAST_COSINES[precision]}; set {instead}"
                )

        def read() -> Any:
            model = openvino_core().read_model(str(file))
            if precision == "int8":
                weights_in_bytes(model)
            elif kind == "image" and precision == "bfloat16":
                mlps_as_convolutions(model)
            return model

        in_bytes = precision == "int8"
        return OpenVinoGraph(
            read,
            facts.precision("auto") if in_bytes else precision,  # of all but the products
            PASS_IMAGES if kind == "image" else None,
            check,
            _AT_ONCE,
            settings=GROUPS if in_bytes else {},
        )

    def _in_torch(self) -> HubTowers:
        with self._lock:
            if self._torch is None:
                self._torch = self._load_torch()
            return self._torch


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1e-12))
    return unit


def _inputs(facts: TowerFacts, kind: str) -> list[NDArray[Any]]:
    """Give the made-up inputs, each with a first axis of 1."""
    if kind == "image":
        return [_noise(*facts.inputs[0])]
    types = (np.int64, np.bool_)
    return [np.array(part, dtype) for part, dtype in zip(facts.inputs, types, strict=False)]


def _make(
    folder: Path, attention: Attention, images: ImageInputs, tokens: Tokens, towers: HubTowers
) -> dict[str, Any]:
    """Write the graphs of both towers into a folder and return their facts, as JSON values."""
    image = _convert_images(folder, images, towers)
    return {"image": asdict(image), "text": asdict(_convert_texts(folder, attention, tokens, towers))}


def _convert_images(folder: Path, images: ImageInputs, towers: HubTowers) -> TowerFacts:
    from retrieval.encoders.traceable_layers import traceable_layers  # late: imports torch

    if not isinstance(images, FixedSizeInputs):
        return TowerFacts("its images have no fixed size")
    height, width = images.rule.crop
    inputs: list[Inputs] = [(_noise(number, height, width),) for number in (1, 2, 3)]
    comparisons = [(one, towers.image_rows(*one)) for one in inputs]
    with traceable_layers(towers.model):
        found = _convert(folder, "image", towers.image_vectors, comparisons, (-1, height, width, 3))
    return found if found.why_not else replace(found, inputs=([1, height, width],))


def _convert_texts(folder: Path, attention: Attention, tokens: Tokens, towers: HubTowers) -> TowerFacts:
    ids = tokens.encode(_TEXTS)
    least = max(tokens.padded_length(row) for row in ids)
    lengths = [length for length in tokens.lengths if length >= least]
    padded = [
        tokens.pad(ids[:count], length) for count, length in zip((1, 2, 3, 3, 3), lengths, strict=False)
    ]
    used = 2 if attention == "masked" else 1
    comparisons = [(one[:used], towers.text_rows(*one)) for one in padded]

    def compute(*given: Any) -> Any:
        return towers.text_vectors(given[0], given[-1])

    length = -1 if len(tokens.lengths) > 1 else tokens.context
    found = _convert(folder, "text", compute, comparisons, (-1, length))
    return found if found.why_not else replace(found, numpy_cosine=_cosine_in_numpy(folder, comparisons))


def _cosine_in_numpy(folder: Path, comparisons: Sequence[Comparison]) -> float:
    """Compute the written graph of texts in numpy; give the least cosine to torch's rows, 0 where it cannot."""
    try:
        graph = NumpyGraph(folder / "text.xml")
        return min(
            float((_unit(graph.rows(*inputs)) * rows).sum(axis=1).min()) for inputs, rows in comparisons
        )
    except Exception as error:  # operations and forms of them that are not known here fail in any way
        _log.info("numpy cannot compute a text tower: %s", error)
        return 0.0


def _convert(
    folder: Path,
    kind: str,
    compute: Callable[..., Any],
    comparisons: Sequence[Comparison],
    shape: tuple[int, ...],
) -> TowerFacts:
    """Convert a tower, compare it, and write its graph.

    Args:
        folder: to write into.
        kind: of the tower; begins the files' names.
        compute: unit rows of tensors, in torch.
        comparisons: inputs and their rows; the first have one row.
        shape: of all inputs.
    """
    from retrieval.encoders.runtimes.openvino_conversion import convert_tower

    single, rows = comparisons[0]
    try:
        converted = convert_tower(compute, tuple(part.repeat(2, 0) for part in single), comparisons, shape)
    except ValueError as error:
        return TowerFacts(str(error))
    import_openvino().save_model(converted.model, str(folder / f"{kind}.xml"), compress_to_fp16=False)
    return TowerFacts(
        "",
        converted.cosine,
        converted.bfloat16_cosine,
        tuple(part.tolist() for part in single),
        rows[0].tolist(),
        linear_maps=len(linear_maps(converted.model)),
    )


def _noise(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Make images of noise, (count, height, width, 3)."""
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), np.uint8)

"""A graph that OpenVINO computes on the processor, in passes of fixed sizes and several at once.

A pass of a fixed shape is faster than one of any (``mini`` in bfloat16: 277 images a CPU second against 250), and
passes of one thread each, as many at once as there are cores, faster than one of all threads (270 against 217).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.freed_memory import return_freed_memory
from retrieval.openvino_runtime import openvino_core
from retrieval.processor import usable_cores

ComputedPrecision = Literal["float32", "bfloat16", "int8"]
Rows = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

Finish = Callable[[NDArray[np.float32]], NDArray[np.float32]]

PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
"""Of a graph of int8, whose own operations say what is computed in bytes, the rest is in float32."""


class OpenVinoGraph:
    """Compute rows of inputs with one graph; safe in several threads.

    Args:
        model: gives an ``openvino.Model`` whose inputs and whose only output, float32, have a first axis of any size;
            called at the first use.
        precision: that it computes in.
        pass_rows: rows of a pass of fixed shape, for all but single rows; a last pass is filled up. None for one pass
            of any shape a call.
        check: given what computes rows of one size of pass, before it is first used; computes one, and raises what it
            finds wrong.
        most_at_once: passes that are computed at the same time; each holds its activations in memory.
        finish: makes the rows of a pass of the graph's output, (n, ...) float32; by default they are its rows.
        settings: of the CPU plug-in, beside those that follow from the others.
    """

    def __init__(
        self,
        model: Callable[[], Any],
        precision: ComputedPrecision,
        pass_rows: int | None,
        check: Callable[[Callable[..., NDArray[np.float32]]], None],
        most_at_once: int,
        finish: Finish | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._model, self._pass_rows, self._check = model, pass_rows, check
        self._finish = finish or _as_they_are
        self.passes_at_once = 1 if pass_rows is None else min(usable_cores(), most_at_once)
        # Left alone, the CPU plug-in computes in bfloat16 where the processor has it. Threads that are tied to cores
        # would wait for the worker processes that decode there.
        self._settings = {"INFERENCE_PRECISION_HINT": PRECISION_HINTS[precision], "ENABLE_CPU_PINNING": False}
        self._settings |= settings
        self._lock = threading.Lock()
        self._passes: dict[int | None, _Passes] = {}

    def rows(self, *inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Compute (n, d) float32 rows of inputs in the order of the graph's, each with n >= 1 on its first axis."""
        count = len(inputs[0])
        if self._pass_rows is None:
            return self._of_size(None).rows(inputs)
        size = 1 if count == 1 else self._pass_rows
        passes = self._of_size(size)
        starts = range(0, count, size)
        return np.concatenate([passes.rows([part[at : at + size] for part in inputs]) for at in starts])

    def unfinished(self, *inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Compute what the rows of inputs are made of, (n, ...), in a pass as :meth:`rows` computes them; n <= pass."""
        size = None if self._pass_rows is None else 1 if len(inputs[0]) == 1 else self._pass_rows
        return self._of_size(size).unfinished(inputs)

    def depends_on_place(self) -> bool:
        """Whether a row has other last bits in another place of a full pass, as the check of the graph has shown.

        Compiles the graph at its first use.
        """
        differ = self._of_size(self._pass_rows).equal_rows_differ
        assert differ is not None, "the check computes one row"
        return differ

    def release_activations(self) -> None:
        """Give the memory of activations back; what is computed next takes it anew.

        Passes that run one after another go through all streams in turn, and each stream keeps its own: what runs two
        passes at most, such as the check and the index of one picture, needs no more than one at a time.
        """
        with self._lock:
            compiled = list(self._passes.values())
        for passes in compiled:
            passes.release_activations()

    def _of_size(self, size: int | None) -> _Passes:
        """Compile and check the graph for a number of rows, at its first use."""
        with self._lock:
            if (found := self._passes.get(size)) is None:
                found = self._compile(size)
                return_freed_memory()  # what compiling took
                self._check(found.rows_filled_up)
                found.release_activations()
                self._passes[size] = found
            return found

    def _compile(self, size: int | None) -> _Passes:
        model = self._model()
        if size is not None:
            model.reshape({one: [size, *list(one.get_partial_shape())[1:]] for one in model.inputs})
        several = size is not None and size > 1
        more = {"NUM_STREAMS": str(self.passes_at_once)} if several else {"PERFORMANCE_HINT": "LATENCY"}
        return _Passes(openvino_core().compile_model(model, "CPU", self._settings | more), size, self._finish)


class _Passes:
    """A compiled graph of one size of pass, with a request for every pass that runs at once.

    Attributes:
        equal_rows_differ: whether they did in some pass that was filled up from one row; None before there was one.
    """

    def __init__(self, compiled: Any, size: int | None, finish: Finish) -> None:
        self._compiled, self._size, self._finish = compiled, size, finish
        self.equal_rows_differ: bool | None = None
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    def rows(self, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Compute the rows of one pass; short inputs are filled up with their first row."""
        return self._computed(inputs, self._finish)

    def unfinished(self, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Give what the rows of one pass are made of."""
        return self._computed(inputs, _as_they_are)

    def _computed(self, inputs: Sequence[NDArray[Any]], finish: Finish) -> NDArray[np.float32]:
        count = len(inputs[0])
        request = self._request()
        try:
            whole = [np.ascontiguousarray(_filled_up(part, self._size or count)) for part in inputs]
            output = request.infer(whole, share_inputs=True, share_outputs=True)[0]
            return np.array(finish(output)[:count], np.float32)
        finally:
            with self._lock:
                self._idle.append(request)

    def rows_filled_up(self, *inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Compute rows as they stand in a pass that is full."""
        rows = self.rows([_filled_up(part, self._size or 1) for part in inputs])
        if len(inputs[0]) == 1:
            self.equal_rows_differ = bool(self.equal_rows_differ) or not bool((rows == rows[:1]).all())
        return rows

    def release_activations(self) -> None:
        """See :meth:`OpenVinoGraph.release_activations`."""
        self._compiled.release_memory()
        return_freed_memory()

    def _request(self) -> Any:
        with self._lock:
            return self._idle.pop() if self._idle else self._compiled.create_infer_request()


def _as_they_are(output: NDArray[np.float32]) -> NDArray[np.float32]:
    return output


def _filled_up(part: NDArray[Any], size: int) -> NDArray[Any]:
    missing = size - len(part)
    return part if missing <= 0 else np.concatenate([part, part[:1].repeat(missing, 0)])

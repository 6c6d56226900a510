"""Operations that OpenVINO leaves in float32 where it computes a graph in bfloat16."""

from __future__ import annotations

from typing import Any

from retrieval.openvino_runtime import openvino_core

# Python can copy OpenVINO's mark from one operation to another, but not make one: this graph of one operation has it.
_MARKED = b"""<?xml version="1.0"?>
<net name="marked" version="11">
<layers>
<layer id="0" name="given" type="Parameter" version="opset1">
<data shape="1" element_type="f32"/>
<output><port id="0" precision="FP32"><dim>1</dim></port></output>
</layer>
<layer id="1" name="marked" type="ReLU" version="opset1">
<rt_info><attribute name="precise" version="0"/></rt_info>
<input><port id="0" precision="FP32"><dim>1</dim></port></input>
<output><port id="1" precision="FP32"><dim>1</dim></port></output>
</layer>
<layer id="2" name="result" type="Result" version="opset1">
<input><port id="0" precision="FP32"><dim>1</dim></port></input>
</layer>
</layers>
<edges>
<edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>
<edge from-layer="1" from-port="1" to-layer="2" to-port="0"/>
</edges>
</net>
"""


def keep_in_float32(node: Any) -> None:
    """Have an operation of a graph, and all that it is computed from, computed in float32 in every precision."""
    template = openvino_core().read_model(_MARKED, b"")
    (marked,) = (one for one in template.get_ops() if one.get_type_name() == "Relu")
    marks = dict(marked.get_rt_info().items())
    waiting, seen = [node], set()
    while waiting:
        one = waiting.pop()
        if (name := one.get_name()) in seen:
            continue
        seen.add(name)
        for key, mark in marks.items():
            one.set_rt_info(mark, key)
        waiting += [given.get_node() for given in one.input_values()]

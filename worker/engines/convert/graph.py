"""Builds an ONNX graph node by node. The only importer of onnx, which is needed at conversion time alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from worker.engines.convert.network import Convolution

OPSET, IR = 13, 8  # old enough for every ONNX Runtime that is still in use, on a Jetson too

Dimensions = Sequence[int | str]


class Graph:
    """A graph in the making; values are known by their names. Stores float32 and int64 constants only."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: type[np.generic], dimensions: Dimensions) -> str:
        self._inputs.append(_value(name, dtype, dimensions))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Adds a node and gives the name of its one output; "" stands for an input left out."""
        name = output or f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def convolve(self, value: str, layer: Convolution, padding: int | None = None) -> str:
        """Adds a convolution, with another padding than the layer's own where one is given."""
        return self.add(
            "Conv",
            value,
            self.constant(layer.filters),
            self.constant(layer.biases),
            strides=[layer.stride] * 2,
            pads=[layer.padding if padding is None else padding] * 4,
        )

    def serialised(self, outputs: dict[str, Dimensions]) -> bytes:
        """The finished file. ``outputs``: the values to give back, all float32, and their dimensions."""
        results = [_value(name, np.float32, dimensions) for name, dimensions in outputs.items()]
        graph = helper.make_graph(self._nodes, "faceswarm", self._inputs, results, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def _value(name: str, dtype: type[np.generic], dimensions: Dimensions) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dimensions)

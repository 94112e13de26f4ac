"""dlib_face_recognition_resnet_model_v1.dat as an ONNX graph from chips to embeddings.

Network: dlib's examples/dnn_face_recognition_ex.cpp, a residual network of 29 convolutions.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from worker.engines import EMBEDDING_SIZE
from worker.engines.chips import CHIP_SIDE
from worker.engines.convert.dat import Reader
from worker.engines.convert.graph import Graph
from worker.engines.convert.network import Convolution, read_layers

STEM = ["con", "affine", "relu", "max_pool"]
SAME = ["tag", "con", "affine", "relu", "con", "affine", "add_prev", "relu"]
HALVING = ["tag", "con", "affine", "relu", "con", "affine", "tag", "skip", "avg_pool", "add_prev", "relu"]
BLOCKS = [SAME] * 3 + [HALVING] + [SAME] * 3 + [HALVING] + [SAME] * 2 + [HALVING] + [SAME] * 2 + [HALVING]


def convert(content: bytes) -> bytes:
    """The ONNX file for the bytes of the weights file. Raises ModelError.

    Input: ``chips`` uint8 [chips, 150, 150, 3], RGB. Output: ``embeddings`` float32 [chips, 128], not normalised.
    """
    reader = Reader(content)
    reader.integer()
    reader.expect("loss_metric_2")
    reader.floats(2)
    kinds = STEM + [kind for block in BLOCKS for kind in block] + ["avg_pool", "fc"]
    mean, convolutions, (product,) = read_layers(reader, "input_rgb_image_sized", kinds)
    reader.end()

    graph = Graph()
    chips = graph.input("chips", np.uint8, ["chips", CHIP_SIDE, CHIP_SIDE, 3])
    value = graph.add("Cast", graph.add("Transpose", chips, perm=[0, 3, 1, 2]), to=1)
    value = graph.add("Sub", value, graph.constant(mean.astype(np.float32).reshape(1, 3, 1, 1)))
    first, *rest = convolutions
    first = dataclasses.replace(first, filters=first.filters / np.float32(256))  # dlib divides the pixels by it
    value = graph.add("Relu", graph.convolve(value, first))
    value = graph.add("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2])
    layers, side = iter(rest), 35  # px, what the first convolution and the pooling leave of 150
    for block in BLOCKS:
        if block is SAME:
            value = _same(graph, value, next(layers), next(layers))
        else:
            value, side = _halving(graph, value, side, next(layers), next(layers))
    value = graph.add("Flatten", graph.add("GlobalAveragePool", value))
    embeddings = graph.add("MatMul", value, graph.constant(product), output="embeddings")
    return graph.serialised({embeddings: ["chips", EMBEDDING_SIZE]})


def _same(graph: Graph, value: str, first: Convolution, second: Convolution) -> str:
    through = graph.convolve(graph.add("Relu", graph.convolve(value, first)), second)
    return graph.add("Relu", graph.add("Add", through, value))


def _halving(graph: Graph, value: str, side: int, first: Convolution, second: Convolution) -> tuple[str, int]:
    """A block whose two branches differ in shape: dlib's add_prev fills the smaller up with zeros at its ends."""
    outputs, inputs = first.filters.shape[:2]
    through = graph.convolve(graph.add("Relu", graph.convolve(value, first)), second)
    pooled = graph.add("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
    side, through_side = side // 2, (side - 1) // 2
    through = _filled_up(graph, through, 0, side - through_side)
    pooled = _filled_up(graph, pooled, outputs - inputs, 0)
    return graph.add("Relu", graph.add("Add", through, pooled)), side


def _filled_up(graph: Graph, value: str, channels: int, pixels: int) -> str:
    if not channels and not pixels:
        return value
    return graph.add("Pad", value, graph.constant(np.array([0, 0, 0, 0, 0, channels, pixels, pixels])))

"""mmod_human_face_detector.dat as an ONNX graph that shrinks a picture and scores every place of it.

Network: dlib's examples/dnn_mmod_face_detection_ex.cpp; seven convolutions, stride 8 in all. dlib tiles all levels of
the pyramid into one canvas; here each level is its own run, which is faster and needs less memory.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from worker.engines.convert.dat import Reader
from worker.engines.convert.graph import Graph
from worker.engines.convert.network import Convolution, read_layers
from worker.engines.pyramid import BORDER

CHANNELS = 48  # dlib's 45 filled up with zeros: convolutions run 1.4 times as fast on a multiple of 16
BLOCK = 4  # px of the score map that one step of the last convolution gives, in both directions


def convert(content: bytes) -> bytes:
    """The ONNX file for the bytes of the weights file. Raises ModelError.

    Inputs: ``picture`` float32 [1, 3, rows, columns], RGB less worker.engines.pyramid.MEAN_COLOUR; ``size`` int64 [4],
    the wanted [1, 3, rows, columns]. Outputs: ``level`` float32 [1, 3, rows, columns], the picture in that size;
    ``scores`` float32 [rows, columns], one for each cell, below and right of those up to three more that mean nothing.
    """
    reader = Reader(content)
    reader.integer()
    reader.expect("loss_mmod_")
    reader.integers(3)  # version, width and height of the one window
    reader.floats(7)
    _, layers, _ = read_layers(reader, "input_rgb_image_pyramid", ["con", "affine", "relu"] * 6 + ["con"])
    reader.end()

    graph = Graph()
    picture = graph.input("picture", np.float32, [1, 3, "rows", "columns"])
    size = graph.input("size", np.int64, [4])
    resize = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    level = graph.add("Resize", picture, "", "", size, output="level", **resize)
    first, *middle, last = [_filled_up(layer) for layer in layers]
    first = dataclasses.replace(first, filters=first.filters / np.float32(256))  # dlib divides the pixels by it
    # dlib's border is zero after the mean is subtracted, as is what a convolution adds by itself.
    value = graph.add("Relu", graph.convolve(level, first, padding=BORDER))
    for layer in middle:
        value = graph.add("Relu", graph.convolve(value, layer))
    both_ones = graph.constant(np.array([0, 1]))
    scores = graph.add("Squeeze", _last(graph, value, last), both_ones, output="scores")
    return graph.serialised(
        {level: [1, 3, "level_rows", "level_columns"], scores: ["score_rows", "score_columns"]},
    )


def _filled_up(layer: Convolution) -> Convolution:
    outputs, inputs = (CHANNELS if count == 45 else count for count in layer.filters.shape[:2])
    grown = (outputs - layer.filters.shape[0], inputs - layer.filters.shape[1])
    filters = np.pad(layer.filters, ((0, grown[0]), (0, grown[1]), (0, 0), (0, 0)))
    return dataclasses.replace(layer, filters=filters, biases=np.pad(layer.biases, (0, grown[0])))


def _last(graph: Graph, value: str, layer: Convolution) -> str:
    """The 9 x 9 convolution with one output, as one with 16 outputs that steps over 4 x 4 cells and is unfolded.

    The same sums: a single output would leave 15 of 16 lanes of the processor's vectors idle.
    """
    inputs, side = layer.filters.shape[1:3]
    filters = np.zeros((BLOCK * BLOCK, inputs, side + BLOCK - 1, side + BLOCK - 1), np.float32)
    for row in range(BLOCK):
        for column in range(BLOCK):
            filters[BLOCK * row + column, :, row : row + side, column : column + side] = layer.filters[0]
    before, after = layer.padding, layer.padding + BLOCK - 1
    weights, biases = graph.constant(filters), graph.constant(np.repeat(layer.biases, BLOCK * BLOCK))
    value = graph.add("Conv", value, weights, biases, strides=[BLOCK] * 2, pads=[before, before, after, after])
    return graph.add("DepthToSpace", value, blocksize=BLOCK)

"""The layers of dlib's networks, as dlib/dnn/core.h and layers.h write them.

A file holds the loss, a version for each layer (outermost first), the input layer, then the layers' own values from
the innermost to the outermost. Which layers there are is a C++ template and not in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.engines.convert.dat import Reader
from worker.engines.convert.weights import ModelError

WRAPPERS = ("tag", "skip")  # layers that store nothing but their version
WITHOUT_WEIGHTS = {  # the name that a layer is stored under, and how many integers follow it
    "relu": ("relu_", 0),
    "add_prev": ("add_prev_", 0),
    "max_pool": ("max_pool_2", 6),
    "avg_pool": ("avg_pool_2", 6),
}


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution with the affine layer behind it folded in. Padding is always "same" for stride 1, else none."""

    filters: NDArray[np.float32]  # [outputs, inputs, rows, columns]
    biases: NDArray[np.float32]  # [outputs]
    stride: int
    padding: int


def read_layers(
    reader: Reader, input_name: str, kinds: Sequence[str]
) -> tuple[NDArray[np.float64], list[Convolution], list[NDArray[np.float32]]]:
    """Reads all behind the loss: mean colour (RGB), convolutions and fully connected weights, from the input on.

    ``kinds`` are the layers from the input on: con, affine, relu, max_pool, avg_pool, add_prev, fc, tag, skip.
    """
    versions = list(reversed(reader.integers(len(kinds)).tolist()))
    reader.expect(input_name)
    mean = reader.floats(3)
    if input_name == "input_rgb_image_sized":
        reader.integers(2)  # rows and columns
    convolutions: list[Convolution] = []
    products: list[NDArray[np.float32]] = []
    for position, (kind, version) in enumerate(zip(kinds, versions, strict=True)):
        if kind in WRAPPERS:
            continue
        if kind == "con":
            convolutions.append(_convolution(reader))
        elif kind == "affine":
            convolutions.append(_folded(convolutions.pop(), *_affine(reader)))
        elif kind == "fc":
            products.append(_product(reader))
        else:
            name, integers = WITHOUT_WEIGHTS[kind]
            reader.expect(name)
            reader.integers(integers)
        _layer_end(reader, version, innermost=position == 0)
    return mean, convolutions, products


def _layer_end(reader: Reader, version: int, innermost: bool) -> None:
    """State of the training that every add_layer leaves behind."""
    if version not in ((2, 3) if innermost else (1, 2)):
        raise ModelError(f"a layer of version {version}, which this converter was not written for")
    reader.skip_booleans(3)
    for _ in range(3 if innermost or version == 2 else 2):
        reader.tensor()
    if innermost and version == 3:
        reader.integer()


def _convolution(reader: Reader) -> Convolution:
    reader.expect("con_4")
    params = reader.tensor().ravel()
    _, _, _, stride, _, padding, _ = reader.integers(7).tolist()
    shape = reader.alias()
    reader.alias()
    reader.floats(4)
    outputs = shape[0]
    return Convolution(params[:-outputs].reshape(shape), params[-outputs:], stride, padding)


def _affine(reader: Reader) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gain and offset; a batch normalisation stands in its place in files saved during training."""
    name = reader.expect("affine_", "bn_con2")
    gain, offset = reader.tensor().astype(np.float64).reshape(2, -1)
    reader.alias()
    reader.alias()
    if name == "affine_":
        reader.integer()
        return gain, offset
    _, _, means, variances = (reader.tensor().astype(np.float64).ravel() for _ in range(4))
    reader.integers(2)
    reader.floats(4)
    (epsilon,) = reader.floats(1)
    gain = gain / np.sqrt(variances + epsilon)
    return gain, offset - gain * means


def _folded(convolution: Convolution, gain: NDArray[np.float64], offset: NDArray[np.float64]) -> Convolution:
    return Convolution(
        (convolution.filters * gain[:, None, None, None]).astype(np.float32),
        (convolution.biases * gain + offset).astype(np.float32),
        convolution.stride,
        convolution.padding,
    )


def _product(reader: Reader) -> NDArray[np.float32]:
    reader.expect("fc_2")
    reader.integers(2)
    params = reader.tensor()
    reader.alias()
    reader.alias()
    reader.integer()
    reader.floats(4)
    return params.reshape(params.shape[0], -1)

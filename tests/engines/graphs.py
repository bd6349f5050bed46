"""Tiny networks whose labels are known exactly, as ONNX files.

One 3x3 convolution from three channels to K logits. Means and weights are small integers, so that every
sum is exact in f32 whatever its order, and labels can be compared for equality with NumPy's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from cgnet_deploy.artifact import IO, Artifact, Shape, write_artifact
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.pixels import U8, to_tensor
from cgnet_deploy.spec import Precision

CLASSES = 5
SPEC = model_spec("camvid-official", CLASSES, (2, 2), mean=(100.0, 110.0, 120.0))
WEIGHTS = np.random.default_rng(0).integers(-8, 9, (CLASSES, 3, 3, 3)).astype(np.float32)
FIXED: Shape = (1, 40, 56)
DYNAMIC: Shape = (None, None, None)


def logits_of(frames: U8) -> npt.NDArray[np.float32]:
    """(N, H, W, 3) -> (N, K, H, W), by NumPy alone."""
    n, h, w, _ = frames.shape
    planes = np.pad(to_tensor(frames, SPEC.input), ((0, 0), (0, 0), (1, 1), (1, 1)))
    logits = np.zeros((n, CLASSES, h, w), np.float32)
    for y, x in np.ndindex(3, 3):
        logits += np.einsum("kc,nchw->nkhw", WEIGHTS[:, :, y, x], planes[:, :, y : y + h, x : x + w])
    return logits


def network(io: IO, shape: Shape, *, half: bool = False) -> onnx.ModelProto:
    """The network as a graph that takes frames and gives labels, or takes a tensor and gives logits.

    half: the convolution takes f16; labels are then no longer exact.
    """
    n, h, w = ("NHW"[i] if side is None else side for i, side in enumerate(shape))
    weights: dict[str, npt.NDArray[Any]] = {"weights": WEIGHTS.astype(np.float16 if half else np.float32)}
    if io == "frames":
        weights |= {
            "order": np.array(SPEC.input.channels),
            "mean": np.array(SPEC.input.mean, np.float32).reshape(1, 3, 1, 1),
        }
        source, result = tensor("frames", "UINT8", n, h, w, 3), tensor("labels", "UINT8", n, h, w)
        before = [
            helper.make_node("Cast", ["frames"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["cast"], ["bgr"], perm=[0, 3, 1, 2]),
            helper.make_node("Gather", ["bgr", "order"], ["rgb"], axis=1),
            helper.make_node("Sub", ["rgb", "mean"], ["planes"]),
        ]
        after = [
            helper.make_node("ArgMax", ["logits"], ["class"], axis=1, keepdims=0),
            helper.make_node("Cast", ["class"], ["labels"], to=TensorProto.UINT8),
        ]
    else:
        source, result = tensor("planes", "FLOAT", n, 3, h, w), tensor("logits", "FLOAT", n, CLASSES, h, w)
        before, after = [], []
    convolve = [helper.make_node("Conv", ["planes", "weights"], ["logits"], "conv", pads=[1, 1, 1, 1])]
    if half:
        convolve = [
            helper.make_node("Cast", ["planes"], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("Conv", ["half", "weights"], ["half_logits"], "conv", pads=[1, 1, 1, 1]),
            helper.make_node("Cast", ["half_logits"], ["logits"], to=TensorProto.FLOAT),
        ]
    return model([*before, *convolve, *after], [source], [result], weights)


def model(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: Mapping[str, npt.NDArray[Any]]
) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def tensor(name: str, kind: str, *sides: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.DataType.Value(kind), sides)


def written(path: Path, io: IO, shape: Shape, *, half: bool = False) -> Artifact:
    """The network as one of our files, with its sidecar."""
    return write_artifact(
        path,
        network(io, shape, half=half).SerializeToString(),
        kind="onnx",
        precision=Precision.F16 if half else Precision.F32,
        spec=SPEC,
        io=io,
        shape=shape,
        parent_sha256="0" * 64,
        made_with={},
    )


def drawn_frames(n: int, h: int, w: int, seed: int = 0) -> U8:
    """Blocks of 8x8 pixels of one colour, under noise: a CGNet gives several classes on them."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (n, -(-h // 8), -(-w // 8), 3))
    frames = blocks.repeat(8, axis=1).repeat(8, axis=2)[:, :h, :w] + generator.integers(-20, 21, (n, h, w, 3))
    return frames.clip(0, 255).astype(np.uint8)

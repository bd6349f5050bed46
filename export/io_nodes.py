"""Raw frames in, labels out: the cast, the channel order, the mean and the argmax inside the graph.

    frames (N, H, W, 3) u8 BGR -> cast f32 -> NCHW -> minus mean -> times 1/std -> channel order -> network
    logits (N, K, H, W) -> argmax i64 -> [cast f32 ->] cast u8 -> labels (N, H, W) u8

The mean is subtracted, not folded into the first bias: the convolutions pad with zeros *after* the
subtraction, so the fold is wrong at every border. It is subtracted after the transpose: on interleaved pixels it is
several times slower in ONNX Runtime.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.graph import constant, insert, required, tidy
from cgnet_deploy.spec import InputSpec


def take_frames(model: ir.Model, spec: InputSpec) -> None:
    """Put the way from BGR u8 frames to the normalised tensor in front of a graph that takes that."""
    graph = model.graph
    tensor = graph.inputs[0]
    batch, _, height, width = required(tensor.shape, "the input's shape")
    frames = ir.Value(name="frames", type=ir.TensorType(ir.DataType.UINT8), shape=ir.Shape([batch, height, width, 3]))
    anchor = graph[0]
    x = insert(anchor, "Cast", [frames], name="frames/Cast", to=int(ir.DataType.FLOAT))
    x.type = ir.TensorType(ir.DataType.FLOAT)
    x = insert(anchor, "Transpose", [x], name="frames/Transpose", perm=[0, 3, 1, 2])
    order = list(spec.channels)  # which BGR channel each channel of the network reads
    mean, std = (np.empty(3, np.float32) for _ in range(2))
    mean[order], std[order] = spec.mean, spec.std
    x = insert(anchor, "Sub", [x, constant(anchor, mean[:, None, None], "frames.mean")], name="frames/Sub")
    if spec.std != (1.0, 1.0, 1.0):
        x = insert(anchor, "Mul", [x, constant(anchor, 1 / std[:, None, None], "frames.scale")], name="frames/Mul")
    if order != [0, 1, 2]:
        index = constant(anchor, np.asarray(order, np.int64), "frames.order")
        x = insert(anchor, "Gather", [x, index], name="frames/Gather", axis=1)
    tensor.replace_all_uses_with(x)
    graph.inputs[0] = frames
    tidy(model)


def give_labels(model: ir.Model, *, by_float: bool = False) -> None:
    """Put the argmax over classes behind a graph that gives `logits`. Of equal logits the first class wins.

    by_float: cast i64 to f32 and that to u8. TensorRT's header documents u8 to and from f32 and f16 only.
    """
    graph = model.graph
    logits = graph.outputs[0]
    batch, _, height, width = required(logits.shape, "the shape of the logits")
    index = ir.node("ArgMax", [logits], {"axis": 1, "keepdims": 0}, name="labels/ArgMax")
    index.outputs[0].type = ir.TensorType(ir.DataType.INT64)
    graph.append(index)
    labels = index.outputs[0]
    for to in (ir.DataType.FLOAT, ir.DataType.UINT8) if by_float else (ir.DataType.UINT8,):
        cast = ir.node("Cast", [labels], {"to": int(to)}, name=f"labels/Cast{to.name}")
        graph.append(cast)
        labels = cast.outputs[0]
        labels.type = ir.TensorType(to)
    labels.name = "labels"
    labels.shape = ir.Shape([batch, height, width])
    graph.outputs[0] = labels
    tidy(model)

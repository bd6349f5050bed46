"""A gate as the kernel of a depthwise convolution, if there is one image.

    g_c x_c = conv(x)_c,  x (1, C, H, W), kernel g (C, 1, 1, 1), computed

The trunk adds x_c to it, and ONNX Runtime makes one operator of a convolution and the map of its size that is added
to it, written over that map: one pass over memory in place of two. It does so only where there is a bias: it is zero.
The mean ahead of the gate keeps its axes, so it is taken in the blocked layout.
"""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.gate import Gate, gate
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import attribute, channels, constant, insert, over_image, replace, required


def check(match: Gate) -> str | None:
    node, pool, shape = match.product, match.pool, match.scaled.shape
    if shape is None or len(shape) != 4 or shape[0] != 1 or not isinstance(shape[1], int):
        return f"{node.name} is not of one image: a kernel serves a whole batch"
    if attribute(pool, "keepdims", 1) != 0 or not over_image(pool):
        return f"{pool.name} is not a mean over height and width alone"
    return None


def rewrite(match: Gate) -> None:
    node, pool, count = match.product, match.pool, required(channels(match.scaled), "the number of channels")
    mean = insert(pool, "GlobalAveragePool", [pool.inputs[0]], name=pool.name or "")
    replace(pool.outputs[0], insert(pool, "Flatten", [mean]))
    sides = constant(node, np.array([count, 1, 1, 1]), f"{node.name}.sides")
    kernel = insert(node, "Reshape", [match.value, sides])
    bias = constant(node, np.zeros(count, np.float32), f"{node.name}.bias")
    inputs = [match.scaled, kernel, bias]
    replace(node.outputs[0], insert(node, "Conv", inputs, name=node.name or "", kernel_shape=[1, 1], group=count))


RULE = Rule("gate-conv", gate, check, rewrite, int8=False)  # a replay (../replay.py) takes gates as products

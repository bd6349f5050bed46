"""A gate that its weights prove constant becomes that constant.

    gate = sigmoid(W2 relu(W1 v + b1) + b2),   v the mean of the feature map

moves by at most a quarter of V sum_jk |W2_ij| |W1_jk| around a fixed value, if |v| <= V. Where that is
below the resolution of a float32, the gate is sigmoid(W2 relu(b1) + b2) for every image. All 24 gates of the
official CamVid weights are: weight decay drove |W1| under 1e-19.
"""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.gate import Gate, gate
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import insert, per_channel, replace

LARGEST_MEAN = 1e9  # V: no network with such activations has logits left
FLOAT32_STEP = 2.0**-25  # half a step of a float32 in [0.25, 0.5), where the smaller gates lie


def check(match: Gate) -> str | None:
    (w1, _), (w2, _) = match.squeeze, match.excite
    swing = float((np.abs(w2) @ np.abs(w1).sum(1)).max()) * LARGEST_MEAN / 4
    return None if swing < FLOAT32_STEP else f"its weights let the gate move by up to {swing:.2g}"


def rewrite(match: Gate) -> None:
    node = match.product
    (_, b1), (w2, b2) = match.squeeze, match.excite
    value = 1 / (1 + np.exp(-(w2 @ np.maximum(b1, 0) + b2)))
    factor = per_channel(node, value, f"{node.name}.gate")
    replace(node.outputs[0], insert(node, "Mul", [match.scaled, factor]))


RULE = Rule("gate-constant", gate, check, rewrite)

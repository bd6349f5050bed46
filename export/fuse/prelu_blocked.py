"""PReLU in operators that ONNX Runtime keeps in its blocked layout: convolutions, Relu and Add.

Where no slope is above 1,

    PReLU(x) = a x + (1 - a) relu(x) = a x + relu((1 - a) x)

Both products are depthwise 1x1 convolutions; ONNX Runtime takes the relu into the one and the sum into the
other. PRelu, Max and any broadcast product leave the layout and reorder every pixel twice, and a Relu of its
own costs three times what the convolution with one inside does.
"""

from __future__ import annotations

from cgnet_deploy.export.fuse.activation import Prelu, prelu
from cgnet_deploy.export.fuse.linear import pointwise_depthwise
from cgnet_deploy.export.fuse.prelu_max import check
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.graph import insert, replace


def rewrite(match: Prelu) -> None:
    node, slope = match.node, match.slope
    line = pointwise_depthwise(node, match.x, slope, None, f"{node.name}/line")
    bend = pointwise_depthwise(node, match.x, 1 - slope, None, f"{node.name}/bend")
    replace(node.outputs[0], insert(node, "Add", [line, insert(node, "Relu", [bend])]))


RULE = Rule("prelu-blocked", prelu, check, rewrite)

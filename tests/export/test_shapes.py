"""Shapes inferred node by node are those that ONNX infers for the whole graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
import pytest

from cgnet_deploy.export.choices import Dynamic
from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.fuse.rules import FOLD
from cgnet_deploy.export.graph import constant, insert
from cgnet_deploy.export.io_nodes import give_labels, take_frames
from cgnet_deploy.export.shapes import infer_shapes
from cgnet_deploy.export.targets import TARGETS, Target
from cgnet_deploy.export.trace import trace
from cgnet_deploy.spec import InputSpec, Res
from tests.export.graphs import graph
from tests.export.networks import trained

SPEC = InputSpec((105.0, 103.0, 99.0), (50.0, 60.0, 70.0), "rgb", Res(64, 96))
RELU = "(float[{}, 3, 4, 6] x) => (float[{}, 3, 4, 6] y) {{ a = Relu (x) y = Relu (a) }}"


@pytest.mark.parametrize("dynamic", ["none", "both"])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_of_a_fused_graph_the_whole_inference_finds_no_other_shape(target: Target, dynamic: Dynamic) -> None:
    model = trace(trained(), Res(33, 47), dynamic=dynamic)
    take_frames(model, SPEC)
    give_labels(model, by_float=target.labels_by_float)
    apply(model, (*FOLD, *target.forms))
    assert all(value.shape is not None and value.type is not None for node in model.graph for value in node.outputs)
    assert not passes.ShapeInferencePass()(model).modified


@pytest.mark.parametrize("batch", ["2", "n"])
def test_a_size_that_a_constant_says_is_read_from_it(batch: str) -> None:
    model = graph(RELU.format(batch, batch), {})
    last = model.graph[-1]
    wanted = constant(last, np.array([0, 3, 24], np.int64), "sizes")
    flat = insert(last, "Reshape", [model.graph[0].outputs[0], wanted])
    infer_shapes(model)
    assert flat.shape == ir.Shape([int(batch) if batch.isdigit() else batch, 3, 24])

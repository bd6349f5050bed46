"""A finished file: the opset and IR version asked for, standard ONNX, the same function, and what can't be said."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.choices import OPSETS
from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.fuse.rules import FOLD
from cgnet_deploy.export.graph import serialise
from cgnet_deploy.export.opset import finished
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.targets import TARGETS, Target
from cgnet_deploy.export.trace import TRACED_OPSET, trace
from cgnet_deploy.spec import Res
from tests.export.graphs import assert_same_outputs, example, graph
from tests.export.networks import planes, trained

IR_VERSIONS = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9}  # the first of each opset, by ONNX's own table
OPERATORS = """(float[2, 6, 8, 4] x) => (float[2, 6] y) {
    left, right = Split <axis = 1> (x, sizes)
    pooled = AveragePool <kernel_shape = [3, 3], strides = [2, 2], dilations = [1, 1], pads = [1, 1, 1, 1]> (right)
    large = Resize <mode = "linear", antialias = 0, keep_aspect_ratio_policy = "stretch"> (pooled, , scales)
    stored = QuantizeLinear <saturate = 1> (large, scale, zero)
    back = DequantizeLinear (stored, scale, zero)
    both = Concat <axis = 1> (left, back)
    y = ReduceMean <keepdims = 0, noop_with_empty_axes = 0> (both, axes)
}"""
WEIGHTS = {
    "sizes": np.array([2, 4]),
    "scales": np.array([1.0, 1, 2, 2]),
    "scale": np.array(0.02),
    "zero": np.array(3, np.int8),
    "axes": np.array([2, -1]),
}


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_is_written_with_its_oldest_ir_version_and_says_the_same(opset: int) -> None:
    model = graph(OPERATORS, WEIGHTS)
    before = serialise(model)
    content = finished(model, opset)
    assert serialise(model) == before
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto, full_check=True)
    assert ([one.version for one in proto.opset_import], proto.ir_version) == ([opset], IR_VERSIONS[opset])
    assert_same_outputs(before, content, [example(model)])


def test_the_newest_is_that_of_the_trace() -> None:
    assert OPSETS[-1] == TRACED_OPSET


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("y = Resize <antialias = 1> (x, , scales)", "antialias of Resize"),
        ('y = Resize <keep_aspect_ratio_policy = "not_larger"> (x, , , scales)', "keep_aspect_ratio_policy of Resize"),
        ("y = AveragePool <kernel_shape = [2, 2], dilations = [2, 1]> (x)", "dilations of AveragePool"),
        ("axes = Shape (x) y = ReduceMean (x, axes)", "axes of ReduceMean"),
        ("y, rest = Split <num_outputs = 2> (x)", "num_outputs of Split"),
    ],
)
def test_what_an_older_opset_cannot_say_is_an_error(text: str, name: str) -> None:
    model = graph(f"(float[1, 2, 4, 4] x) => (float[1, 2, 8, 8] y) {{ {text} }}", {"scales": np.array([1.0, 1, 2, 2])})
    with pytest.raises(UsageError, match=rf"^opset \d+ has no {name}, which this graph needs: choose a newer --opset$"):
        finished(model, 17)
    finished(model, 20)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_an_open_graph_says_no_size_but_those_of_its_ends(target: Target) -> None:
    model = trained()
    made = trace(model, Res(33, 47), dynamic="both")
    apply(made, FOLD)
    apply(made, target.forms)
    x = planes(Res(40, 56), batch=2).numpy()
    content = finished(made, 17)
    wanted = run_single(serialise(made), [x])[0]  # with sizes known, ONNX Runtime may sum in another order
    np.testing.assert_allclose(run_single(content, [x])[0], wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())
    proto = onnx.load_from_string(content)
    assert [side.dim_param for side in proto.graph.input[0].type.tensor_type.shape.dim] == ["N", "", "H", "W"]
    for value in proto.graph.value_info:
        assert not any(side.dim_param for side in value.type.tensor_type.shape.dim)

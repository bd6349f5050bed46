"""The global context: recognised among other products, and folded where its weights prove it constant."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.export.fuse.gate_constant import RULE
from cgnet_deploy.export.graph import weights as array_of
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, example, graph

CHANNELS = 6
GATED = """(float[2, 6, 5, 4] x) => (float[2, 6, 5, 4] y) {
    mean = ReduceMean <keepdims = 0> (x, axes)
    hidden = Gemm <transB = 1> (mean, w1, b1)
    rectified = Relu (hidden)
    excited = Gemm <transB = 1> (rectified, w2, b2)
    row = Sigmoid (excited)
    column = Unsqueeze (row, last)
    gate = Unsqueeze (column, last)
    y = Mul (x, gate)
}"""


def weights(rng: np.random.Generator, squeeze: float = 1.0) -> dict[str, Array]:
    """`squeeze` times random first weights: at 1e-22, what the image says can't reach the gate."""
    return {
        "axes": np.array([2, 3]),
        "last": np.array([-1]),
        "w1": squeeze * rng.normal(size=(8, CHANNELS)),
        "b1": rng.normal(size=8),
        "w2": rng.normal(size=(CHANNELS, 8)),
        "b2": rng.normal(size=CHANNELS),
    }


def test_a_gate_that_no_image_moves_becomes_a_constant(rng: np.random.Generator) -> None:
    model = graph(GATED, weights(rng, squeeze=1e-22))
    # 1e9 is the largest mean of a map that the proof allows for.
    assert_fires(model, RULE, left={"Mul": 1}, inputs=[example(model), 1e9 * example(model)])
    constants = {array.shape for node in model.graph if (array := array_of(node.inputs[1])) is not None}
    assert constants == {(CHANNELS, 1, 1)}


def test_a_gate_whose_second_layer_is_dead_is_constant_too(rng: np.random.Generator) -> None:
    given = weights(rng)
    model = graph(GATED, given | {"w2": 1e-22 * given["w2"]})
    assert_fires(model, RULE, left={"Mul": 1}, inputs=[example(model), 1e9 * example(model)])


def test_the_product_may_be_written_the_other_way_round(rng: np.random.Generator) -> None:
    model = graph(GATED.replace("(x, gate)", "(gate, x)"), weights(rng, squeeze=1e-22))
    assert_fires(model, RULE, left={"Mul": 1})


def test_weights_may_be_stored_untransposed(rng: np.random.Generator) -> None:
    given = weights(rng, squeeze=1e-22)
    model = graph(GATED.replace("<transB = 1> (rectified", "<transB = 0> (rectified"), given | {"w2": given["w2"].T})
    assert_fires(model, RULE, left={"Mul": 1})


def test_a_live_gate_stays(rng: np.random.Generator) -> None:
    given = weights(rng)
    swing = (np.abs(given["w2"]) @ np.abs(given["w1"]).sum(1)).max() * 1e9 / 4
    assert_refuses(graph(GATED, given), RULE, f"its weights let the gate move by up to {swing:.2g}")


def test_one_live_weight_keeps_all_of_the_gate(rng: np.random.Generator) -> None:
    given = weights(rng, squeeze=1e-22)
    given["w1"][3, 2], given["w2"][:, 3] = 1e-12, 1.0
    assert_refuses(graph(GATED, given), RULE, "its weights let the gate move by up to 0.00025")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("Sigmoid (excited)", "HardSigmoid (excited)"),
        ("Relu (hidden)", "Sigmoid (hidden)"),
        ("<transB = 1> (mean", "<transB = 1, alpha = 2.0> (mean"),
        ("Mul (x, gate)", "Add (x, gate)"),
    ],
)
def test_passes_by_what_is_no_gate(rng: np.random.Generator, was: str, becomes: str) -> None:
    assert_passes_by(graph(GATED.replace(was, becomes), weights(rng, squeeze=1e-22)), RULE)

"""Logits written by all threads."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from cgnet_deploy.export.fuse import resize_matmul
from cgnet_deploy.export.fuse.output_write import RULE
from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.graph import serialise
from cgnet_deploy.export.runtime import run_single
from tests.export.graphs import assert_fires, assert_passes_by, example, graph

LOGITS = """(float[1, 3, 6, 5] x) => (float[1, 3, 48, 40] y) {
    y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, , , sizes)
}"""
LABELS = LOGITS.replace("(float[1, 3, 48, 40] y)", "(int64[1, 48, 40] labels)").replace(
    "}", "labels = ArgMax <axis = 1, keepdims = 0> (y) }"
)


def resized(text: str) -> ir.Model:
    model = graph(text, {"sizes": np.array([1, 3, 48, 40])})
    apply(model, (resize_matmul.RULE,))
    return model


def test_every_logit_is_the_same_to_the_bit() -> None:
    model = resized(LOGITS)
    before = serialise(model)
    assert_fires(model, RULE, left={"MatMul": 2, "Gather": 1, "Reshape": 1, "Mul": 1})
    frames = [1e3 * example(model, seed=seed) for seed in range(3)]
    for wanted, given in zip(run_single(before, frames), run_single(serialise(model), frames), strict=True):
        np.testing.assert_array_equal(given, wanted)


def test_it_fires_once() -> None:
    model = resized(LOGITS)
    apply(model, (RULE,))
    assert_passes_by(model, RULE)


def test_passes_by_labels() -> None:
    assert_passes_by(resized(LABELS), RULE)


def test_passes_by_a_reshape_of_something_else() -> None:
    text = "(float[3, 4] x) => (float[2, 6] y) { a = Abs (x) y = Reshape (a, sides) }"
    assert_passes_by(graph(text, {"sides": np.array([2, 6])}), RULE)

"""A live gate as the kernel of a convolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from cgnet_deploy.export.fuse.gate_conv import RULE
from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.graph import serialise
from tests.export.fuse.test_gate import GATED, weights
from tests.export.graphs import assert_fires, assert_passes_by, assert_refuses, example, graph

SINGLE = GATED.replace("float[2,", "float[1,")
CONV = {"GlobalAveragePool": 1, "Flatten": 1, "Gemm": 2, "Relu": 1, "Sigmoid": 1, "Reshape": 1, "Conv": 1}


def test_the_gate_is_the_kernel(rng: np.random.Generator) -> None:
    model = graph(SINGLE, weights(rng))
    # Means of up to 30, so that the gate moves over its whole range.
    assert_fires(model, RULE, left=CONV, inputs=[example(model), 30 + example(model)])


def test_the_product_may_be_written_the_other_way_round(rng: np.random.Generator) -> None:
    assert_fires(graph(SINGLE.replace("(x, gate)", "(gate, x)"), weights(rng)), RULE, left=CONV)


def test_the_map_may_be_of_open_size(rng: np.random.Generator) -> None:
    model = graph(SINGLE.replace("5, 4]", "h, w]"), weights(rng))
    assert_fires(model, RULE, left=CONV, inputs=[example(model, open_sides={"h": 5, "w": 4})])


def test_onnx_runtime_takes_the_trunk_s_sum_into_it(rng: np.random.Generator, tmp_path: Path) -> None:
    text = SINGLE.replace("y = Mul (x, gate)", "scaled = Mul (x, gate) y = Add (x, scaled)")
    model = graph(text, weights(rng))
    apply(model, (RULE,))
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3  # it warns that such a file is for this machine alone
    ort.InferenceSession(serialise(model), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(options.optimized_model_filepath).graph.node
    assert [len(node.input) for node in nodes if node.op_type == "FusedConv"] == [4]
    assert "Add" not in {node.op_type for node in nodes}


@pytest.mark.parametrize("images", ["2", "n"])
def test_not_where_there_may_be_several_images(rng: np.random.Generator, images: str) -> None:
    text = GATED.replace("float[2,", f"float[{images},")
    assert_refuses(graph(text, weights(rng)), RULE, "Mul is not of one image: a kernel serves a whole batch")


def test_not_where_the_mean_keeps_its_axes(rng: np.random.Generator) -> None:
    text = SINGLE.replace("mean = ReduceMean <keepdims = 0> (x", "kept = ReduceMean (x").replace(
        "hidden =", "mean = Flatten (kept) hidden ="
    )
    assert_passes_by(graph(text, weights(rng)), RULE)


def test_not_where_the_mean_is_over_something_else(rng: np.random.Generator) -> None:
    text = SINGLE.replace("6, 5, 4]", "6, 5, 6]")
    model = graph(text, weights(rng) | {"axes": np.array([1, 2])})
    assert_refuses(model, RULE, "ReduceMean is not a mean over height and width alone")


def test_passes_by_another_product(rng: np.random.Generator) -> None:
    assert_passes_by(graph(SINGLE.replace("Sigmoid (excited)", "Tanh (excited)"), weights(rng)), RULE)

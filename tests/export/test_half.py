"""f16 as a property of the file: what becomes half, what stays, and why."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
import torch

from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.fuse.rules import FOLD
from cgnet_deploy.export.graph import serialise, tidy
from cgnet_deploy.export.half import out_of_range, to_half
from cgnet_deploy.export.io_nodes import give_labels, take_frames
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.trace import trace
from cgnet_deploy.model import CGNet
from cgnet_deploy.pixels import to_tensor
from cgnet_deploy.spec import Res
from tests.export.graphs import Array, check_onnx, example, graph
from tests.export.networks import F64, logits, planes, trained, trained_overflowing
from tests.export.test_io_nodes import spec

SMALL = Res(33, 47)
NONE: frozenset[str] = frozenset()
F16 = ir.DataType.FLOAT16


def fused(model: CGNet) -> ir.Model:
    planes_in = trace(model, SMALL, batch=2)
    apply(planes_in, FOLD)
    return planes_in


def conv_types(model: ir.Model) -> Counter[str]:
    """By the type of what they take, weights included."""
    return Counter("/".join(sorted({str(v.dtype) for v in n.inputs if v})) for n in model.graph if n.op_type == "Conv")


def error(model: ir.Model, x: torch.Tensor, wanted: F64) -> float:
    """max |d| of the logits, of the largest logit."""
    (given,) = run_single(serialise(model), [x.numpy()])
    return float(np.abs(given - wanted).max() / np.abs(wanted).max())


def test_every_convolution_takes_f16_and_logits_are_near() -> None:
    model = trained()
    half, x = fused(model), planes(SMALL, batch=2)
    to_half(half, NONE)
    check_onnx(half)
    assert set(conv_types(half)) == {"FLOAT16"}
    # 11 bits through some 20 layers in a row: a few 1e-3. A lost layer or a wrong type shows at 1e-1 and more.
    assert error(half, x, logits(model, x)) < 1e-2


def test_the_global_context_stays_f32() -> None:
    half = fused(trained())
    to_half(half, NONE)
    context = [node for node in half.graph if node.op_type in ("ReduceMean", "Gemm", "Sigmoid")]
    assert len(context) == 4 * 4  # a mean, two linears and a sigmoid in each block
    assert {value.dtype for node in context for value in node.outputs} == {ir.DataType.FLOAT}


def test_the_global_context_does_not_overflow() -> None:
    """A mean over as many pixels as f16 can't count to."""
    text = """(float[1, 4, 400, 300] x) => (float[1, 4, 1, 1] y) {
        c = Conv (x, w)
        m = ReduceMean (c, axes)
        y = Sigmoid (m)
    }"""
    model = graph(text, {"w": np.eye(4)[:, :, None, None], "axes": np.array([2, 3])})
    x = 3 + example(model)
    tidy(model)
    (wanted,) = run_single(serialise(model), [x])
    to_half(model, NONE)
    (given,) = run_single(serialise(model), [x])
    assert np.abs(given - wanted).max() < 1e-3  # the sigmoid's own rounding to f16 is 5e-4


def test_the_tensor_input_and_the_logits_keep_their_types() -> None:
    half = fused(trained())
    to_half(half, NONE)
    ends = [(v.name, str(v.dtype), str(v.shape)) for v in (*half.graph.inputs, *half.graph.outputs)]
    assert ends == [("input", "FLOAT", "[2,3,33,47]"), ("logits", "FLOAT", "[2,3,33,47]")]


def test_frames_and_labels_keep_their_types_and_pixels_are_normalised_in_f32() -> None:
    whole = trace(trained(), SMALL, batch=2)
    take_frames(whole, spec("rgb", (58, 57, 59)))
    give_labels(whole)
    apply(whole, FOLD)
    to_half(whole, NONE)
    check_onnx(whole)
    ends = [(v.name, str(v.dtype), str(v.shape)) for v in (*whole.graph.inputs, *whole.graph.outputs)]
    assert ends == [("frames", "UINT8", "[2,33,47,3]"), ("labels", "UINT8", "[2,33,47]")]
    before = [node for node in whole.graph if (node.name or "").startswith("frames/")]
    assert [node.op_type for node in before] == ["Cast", "Transpose", "Sub", "Mul", "Gather"]
    assert {node.outputs[0].dtype for node in before} == {ir.DataType.FLOAT}


@pytest.mark.parametrize("by_float", [False, True])
def test_labels_are_those_of_the_same_network_s_half_logits(by_float: bool) -> None:
    model, given = trained(), spec("bgr")
    half, whole = fused(model), trace(model, SMALL, batch=2)
    take_frames(whole, given)
    give_labels(whole, by_float=by_float)
    apply(whole, FOLD)
    for each in (half, whole):
        to_half(each, NONE)
    frames = np.random.default_rng(1).integers(0, 256, (2, *SMALL, 3), np.uint8)
    (scores,), (labels,) = (
        run_single(serialise(half), [to_tensor(frames, given)]),
        run_single(serialise(whole), [frames]),
    )
    assert np.array_equal(labels, scores.argmax(1))


# Two convolutions whose product is one map in range; what lies between them is not.
LOUD = """(float[1, 3, 9, 7] x) => (float[1, 5, 9, 7] y) {
    a = Conv (x, w1)
    b = Relu (a)
    c = Conv (b, w2)
    y = Conv (c, w3)
}"""


def loud(rng: np.random.Generator, up: float, down: float) -> dict[str, Array]:
    return {
        "w1": up * rng.normal(size=(4, 3, 1, 1)),
        "w2": down * rng.normal(size=(4, 4, 1, 1)),
        "w3": rng.normal(size=(5, 4, 1, 1)),
    }


def assert_survives_halving(model: ir.Model, kept: set[str], f16_convs: int) -> None:
    tidy(model)  # names and types, as every rule leaves them
    inputs = [example(model)]
    (wanted,) = run_single(serialise(model), inputs)
    found = out_of_range(model, inputs)
    assert found == kept
    to_half(model, found)
    check_onnx(model)
    assert conv_types(model)["FLOAT16"] == f16_convs
    (given,) = run_single(serialise(model), inputs)
    assert np.abs(given - wanted).max() <= 5e-3 * np.abs(wanted).max()


def test_activations_out_of_range_keep_who_makes_and_who_reads_them_in_f32(rng: np.random.Generator) -> None:
    assert_survives_halving(graph(LOUD, loud(rng, 1e5, 1e-5)), {"Conv", "Relu", "Conv_1"}, f16_convs=1)


def test_weights_out_of_range_keep_their_convolution_in_f32(rng: np.random.Generator) -> None:
    small = LOUD.replace("{", "{ tiny = Mul (x, shrink)").replace("Conv (x,", "Conv (tiny,")
    weights = loud(rng, 1e5, 1.0) | {"shrink": np.array(1e-5)}
    assert_survives_halving(graph(small, weights), {"Conv"}, f16_convs=2)


def test_nothing_is_kept_in_f32_without_need(rng: np.random.Generator) -> None:
    assert_survives_halving(graph(LOUD, loud(rng, 1.0, 1.0)), set(), f16_convs=3)


def test_a_network_whose_features_overflow_f16_is_halved_all_the_same() -> None:
    model = trained_overflowing()
    half, x = fused(model), planes(SMALL, batch=2)
    wanted = logits(model, x)
    kept = out_of_range(half, [x.numpy()])
    assert {"stem.0.conv/Conv", "stem.0.act/PRelu"} <= kept
    to_half(half, kept)
    assert conv_types(half)["FLOAT16"] >= 0.8 * conv_types(half).total()
    assert error(half, x, wanted) < 1e-2


@pytest.mark.parametrize("precision", ["f16", "f32"])
def test_only_casts_are_added(precision: str) -> None:
    before = fused(trained())
    half = before.clone()
    to_half(half, NONE if precision == "f16" else frozenset(node.name or "" for node in half.graph))
    kinds = Counter(node.op_type for node in half.graph)
    casts = kinds.pop("Cast", 0)
    assert kinds == Counter(node.op_type for node in before.graph)
    assert (casts > 0) == (precision == "f16")

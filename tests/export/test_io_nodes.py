"""Frames in, labels out: what the graph does to pixels is what pixels.py does, and labels are the argmax."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from cgnet_deploy.contracts import CONTRACTS
from cgnet_deploy.export.graph import serialise
from cgnet_deploy.export.half import to_half
from cgnet_deploy.export.io_nodes import give_labels, take_frames
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.trace import trace
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.spec import Color, InputSpec, Res, Triple
from tests.export.graphs import check_onnx, graph
from tests.export.networks import trained

MEAN: Triple = (103.53, 116.28, 123.675)
# Takes planes and gives them back: what comes out is what the way in makes of a frame.
PLANES = "(float[N, 3, H, W] input) => (float[N, 3, H, W] logits) { logits = Add (input, zero) }"


def spec(color: Color, std: Triple = (1, 1, 1)) -> InputSpec:
    return InputSpec(MEAN, std, color, Res(32, 32))


def every_value() -> U8:
    """One frame in which every channel takes all 256 values, in an order of its own."""
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(256) for _ in range(3)], axis=-1).reshape(1, 8, 32, 3).astype(np.uint8)


def planes_of(frames: U8, given: InputSpec) -> F32:
    model = graph(PLANES, {"zero": np.zeros(1)})
    take_frames(model, given)
    check_onnx(model)
    planes: F32 = run_single(serialise(model), [frames])[0]
    return planes


@pytest.mark.parametrize("given", [*CONTRACTS.values(), spec("bgr"), spec("rgb")], ids=[*CONTRACTS, "bgr", "rgb"])
def test_the_normalised_input_is_to_tensor_s_bit_for_bit(given: InputSpec) -> None:
    assert np.array_equal(planes_of(every_value(), given), to_tensor(every_value(), given))


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_a_std_whose_inverse_is_exact_keeps_them_so(color: Color) -> None:
    given = spec(color, (64, 0.5, 128))
    assert np.array_equal(planes_of(every_value(), given), to_tensor(every_value(), given))


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_any_other_std_costs_two_roundings_at_most(color: Color) -> None:
    given = spec(color, (58.395, 57.12, 57.375))
    found, wanted = planes_of(every_value(), given), to_tensor(every_value(), given)
    assert np.all(np.abs(found - wanted) <= 2 * np.spacing(np.abs(wanted)))


def labelled(model: ir.Model, given: InputSpec) -> ir.Model:
    whole = model.clone()
    take_frames(whole, given)
    give_labels(whole)
    check_onnx(whole)
    return whole


@pytest.mark.parametrize(("batch", "res"), [(1, Res(33, 47)), (2, Res(64, 40)), (3, Res(35, 96))])
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_labels_are_the_argmax_of_the_logits_at_every_size(color: Color, batch: int, res: Res) -> None:
    planes = trace(trained(), Res(33, 47), dynamic="both")
    frames = np.random.default_rng(1).integers(0, 256, (batch, *res, 3), np.uint8)
    (logits,) = run_single(serialise(planes), [to_tensor(frames, spec(color))])
    (labels,) = run_single(serialise(labelled(planes, spec(color))), [frames])
    assert labels.dtype == np.uint8
    assert len(np.unique(labels)) > 1
    assert np.array_equal(labels, logits.argmax(1))


@pytest.mark.parametrize("by_float", [False, True])
def test_equal_logits_give_the_first_class(by_float: bool) -> None:
    model = graph("(float[1, 2, 4, 5] x) => (float[1, 4, 4, 5] y) { y = Concat <axis = 1> (x, x) }", {})
    give_labels(model, by_float=by_float)
    check_onnx(model)
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 5)).astype(np.float32)
    (labels,) = run_single(serialise(model), [x])
    assert np.array_equal(labels, x.argmax(1))


def test_tensorrt_casts_no_integer_to_u8_and_every_label_is_exact() -> None:
    model = graph("(float[1, 255, 16, 16] x) => (float[1, 255, 16, 16] y) { y = Identity (x) }", {})
    give_labels(model, by_float=True)
    to_half(model, frozenset())
    check_onnx(model)
    assert [node.op_type for node in model.graph][-3:] == ["ArgMax", "Cast", "Cast"]
    assert [node.outputs[0].dtype for node in model.graph][-3:] == [
        ir.DataType.INT64,
        ir.DataType.FLOAT,
        ir.DataType.UINT8,
    ]
    wanted = (np.arange(256) % 255).reshape(1, 16, 16)  # every label that a u8 file may give
    x = (np.arange(255)[None, :, None, None] == wanted[:, None]).astype(np.float32)
    (labels,) = run_single(serialise(model), [x])
    np.testing.assert_array_equal(labels, wanted)


def test_the_file_says_what_it_takes_and_gives() -> None:
    whole = labelled(trace(trained(), Res(33, 47), batch=2), spec("rgb"))
    described = [(v.name, str(v.dtype), str(v.shape)) for v in (*whole.graph.inputs, *whole.graph.outputs)]
    assert described == [("frames", "UINT8", "[2,33,47,3]"), ("labels", "UINT8", "[2,33,47]")]

"""Small graphs in ONNX's text format, and what every fusion is held to.

The text names the weights like any other value; `graph` takes them beside it. A graph has one input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from cgnet_deploy.export.fuse.rule import FusionReport, Rule, apply
from cgnet_deploy.export.graph import count_ops, serialise
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.trace import TRACED_OPSET

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]

# Fusing sums the same terms in another order, in f32: a few 1e-7 of the largest. A wrong weight shows at 1e-2.
ROUNDING = 1e-5


def graph(text: str, weights: Weights) -> ir.Model:
    """The model of `(float[1, 3, 9, 7] x) => (float[1, 4, 9, 7] y) { y = Conv(x, w) }`; floats become f32."""
    parsed = onnx.parser.parse_graph(f"small {text}")
    for name, array in weights.items():
        kept = array.astype(np.float32) if array.dtype == np.float64 else array
        parsed.initializer.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
    opset = helper.make_opsetid("", TRACED_OPSET)
    return ir.from_proto(helper.make_model(parsed, opset_imports=[opset], ir_version=10))


def batchnorm(rng: np.random.Generator, channels: int) -> dict[str, Array]:
    """gamma, beta, mean and var of a BatchNormalization, none at its default, one variance at nearly zero."""
    var = rng.uniform(0.2, 2.0, channels)
    var[0] = 5.6e-45  # as in the official weights: only eps keeps it from overflowing
    gamma, beta, mean = rng.normal(size=(3, channels))
    return {"gamma": gamma, "beta": beta, "mean": mean, "var": var}


def example(model: ir.Model, *, seed: int = 0, open_sides: Mapping[str, int] | None = None) -> Array:
    """A normally distributed f32 input; `open_sides` gives the dynamic sizes of its shape, by name."""
    shape = model.graph.inputs[0].shape
    assert shape is not None
    sides = [side if isinstance(side, int) else (open_sides or {})[str(side)] for side in shape]
    return np.random.default_rng(seed).standard_normal(sides, np.float32)


def check_onnx(model: ir.Model) -> None:
    """Standard ONNX by its own checker, types and shapes included."""
    onnx.checker.check_model(onnx.load_from_string(serialise(model)), full_check=True)


def assert_same_outputs(before: bytes, after: bytes, inputs: Sequence[Array]) -> None:
    """Both graphs give the same in ONNX Runtime, up to ROUNDING of the largest value."""
    for wanted, given in zip(run_single(before, inputs), run_single(after, inputs), strict=True):
        largest = np.abs(wanted).max()
        assert np.isfinite(largest)
        assert largest > 0
        assert given.shape == wanted.shape
        assert np.abs(given - wanted).max() <= ROUNDING * largest


def assert_fires(
    model: ir.Model, rule: Rule[Any], *, times: int = 1, left: Mapping[str, int], inputs: Sequence[Array] | None = None
) -> FusionReport:
    """What a fusion is held to: how often it fires, the nodes left, equal outputs, and standard ONNX."""
    inputs = inputs or [example(model, seed=seed) for seed in range(2)]
    before = serialise(model)
    report = apply(model, [rule])
    assert report.fired == {rule.name: times}
    assert count_ops(model) == dict(left)
    assert_same_outputs(before, serialise(model), inputs)
    check_onnx(model)
    return report


def assert_refuses(model: ir.Model, rule: Rule[Any], reason: str) -> None:
    """The rule leaves the graph as it is and says why, at one place."""
    report = apply(model, [rule])
    assert report.fired == {rule.name: 0}
    assert [(name, why) for name, _, why in report.skipped] == [(rule.name, reason)]
    assert report.ops_after == report.ops_before


def assert_passes_by(model: ir.Model, rule: Rule[Any]) -> None:
    """The rule sees no place for it at all."""
    report = apply(model, [rule])
    assert (report.fired, report.skipped) == ({rule.name: 0}, ())
    assert report.ops_after == report.ops_before

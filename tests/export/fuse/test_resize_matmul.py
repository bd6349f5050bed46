"""The last resize as two matrix products: equal logits, and equal labels on every pixel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgnet_deploy.export.fuse import resize_matmul
from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.graph import count_ops, serialise, tidy
from cgnet_deploy.export.runtime import run_single
from tests.export.graphs import ROUNDING, Array, assert_passes_by, assert_refuses, check_onnx, example, graph

RULE = resize_matmul.RULE
NOT_LINEAR = "Resize is not bilinear with half-pixel centres"


def resized(small: tuple[int, int], large: tuple[int, int], *, classes: int = 5) -> ir.Model:
    (h, w), (height, width) = small, large
    text = f"""(float[2, {classes}, {h}, {w}] x) => (uint8[2, {height}, {width}] y) {{
        full = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, , , sizes)
        best = ArgMax <axis = 1, keepdims = 0> (full)
        y = Cast <to = 2> (best)
    }}"""
    return graph(text, {"sizes": np.array([2, classes, height, width])})


def sure(model: ir.Model, inputs: list[Array]) -> Array:
    """Where the best class is ahead of the next by more than rounding."""
    probe = model.clone()
    tidy(probe)
    best = next(node for node in probe.graph if node.op_type == "ArgMax")
    assert best.inputs[0] is not None
    probe.graph.outputs[0] = best.inputs[0]
    (logits,) = run_single(serialise(probe), inputs)
    second, first = np.sort(logits, axis=1)[:, -2:].swapaxes(0, 1)
    clear: Array = first - second > ROUNDING * np.abs(logits).max()
    return clear


def assert_labels(model: ir.Model, batch: int = 2) -> None:
    """`assert_fires` for labels: equal on every pixel, ties aside."""
    before, inputs = model.clone(), [example(model, open_sides={"N": batch})]
    assert apply(model, [RULE]).fired == {RULE.name: 1}
    assert count_ops(model) == {"MatMul": 2, "Gather": 1, "Reshape": 1, "ArgMax": 1, "Cast": 1}
    (wanted,), (found,) = run_single(serialise(before), inputs), run_single(serialise(model), inputs)
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    clear = sure(before, inputs)
    assert clear.mean() > 0.99
    assert np.array_equal(found[clear], wanted[clear])
    check_onnx(model)


@pytest.mark.parametrize("small", [(1, 1), (1, 6), (5, 1), (6, 5)])
def test_eight_times_as_large(small: tuple[int, int]) -> None:
    assert_labels(resized(small, (8 * small[0], 8 * small[1])))


@settings(max_examples=15, derandomize=True)
@given(
    small=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    large=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    classes=st.integers(4, 20),
)
def test_two_products_resize_to_any_size(small: tuple[int, int], large: tuple[int, int], classes: int) -> None:
    assert_labels(resized(small, large, classes=classes))


@pytest.mark.parametrize("classes", [2, 255])
def test_few_and_many_classes(classes: int) -> None:
    assert_labels(resized((4, 6), (32, 48), classes=classes))


def test_an_open_batch() -> None:
    model = graph(
        """(float[N, 5, 4, 6] x) => (uint8[N, 32, 48] y) {
            full = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, , scales)
            best = ArgMax <axis = 1, keepdims = 0> (full)
            y = Cast <to = 2> (best)
        }""",
        {"scales": np.array([1, 1, 8, 8], np.float32)},
    )
    assert_labels(model, batch=3)


RESIZE = """(float[2, 5, 4, 6] x) => (int64[2, 32, 48] y) {
    full = Resize <mode = "linear"> (x, , , sizes)
    y = ArgMax <axis = 1, keepdims = 0> (full)
}"""


@pytest.mark.parametrize(
    "attributes",
    [
        'mode = "nearest"',
        'mode = "cubic"',
        'mode = "linear", coordinate_transformation_mode = "align_corners"',
        'mode = "linear", coordinate_transformation_mode = "asymmetric"',
    ],
)
def test_not_where_the_resize_is_another(attributes: str) -> None:
    model = graph(RESIZE.replace('mode = "linear"', attributes), {"sizes": np.array([2, 5, 32, 48])})
    assert_refuses(model, RULE, NOT_LINEAR)


def test_not_where_the_size_is_open() -> None:
    text = RESIZE.replace("[2, 5, 4, 6]", "[2, 5, H, W]").replace("[2, 32, 48]", "[2, h, w]")
    text = text.replace("(x, , , sizes)", "(x, , scales)")
    assert_refuses(graph(text, {"scales": np.array([1, 1, 8, 8], np.float32)}), RULE, "Resize has no fixed sizes")


@pytest.mark.parametrize(("was", "becomes"), [("axis = 1, ", "axis = 2, "), ("(full)", "(x)")])
def test_passes_by_any_other_argmax(was: str, becomes: str) -> None:
    text = RESIZE.replace(was, becomes).replace("[2, 32, 48]", "[a, b, c]")
    assert_passes_by(graph(text, {"sizes": np.array([2, 5, 32, 48])}), RULE)

"""A resize by whole scales instead of sizes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from cgnet_deploy.export.fuse.resize_scales import RULE
from cgnet_deploy.export.graph import weights
from tests.export.graphs import assert_fires, assert_passes_by, assert_refuses, example, graph


def resized(small: tuple[int, int], large: tuple[int, int], batch: str = "2") -> ir.Model:
    (h, w), (height, width) = small, large
    text = f"""(float[{batch}, 5, {h}, {w}] x) => (float[{batch}, 5, {height}, {width}] y) {{
        y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (x, , , sizes)
    }}"""
    return graph(text, {"sizes": np.array([2, 5, height, width])})


@pytest.mark.parametrize("large", [(24, 32), (9, 4), (3, 12)])
def test_whole_scales_give_the_same(large: tuple[int, int]) -> None:
    model = resized((3, 4), large)
    assert_fires(model, RULE, left={"Resize": 1})
    resize = model.graph[0]
    scales = weights(resize.inputs[2])
    assert len(resize.inputs) == 3
    assert scales is not None
    assert scales.tolist() == [1, 1, large[0] / 3, large[1] / 4]


def test_the_batch_may_be_open() -> None:
    model = resized((3, 4), (24, 32), batch="n")
    assert_fires(model, RULE, left={"Resize": 1}, inputs=[example(model, open_sides={"n": 2})])


def test_not_where_a_scale_is_no_whole_number() -> None:
    assert_refuses(resized((13, 4), (97, 32)), RULE, "Resize makes (97, 32) of (13, 4): no whole scales")


def test_not_where_a_size_is_open() -> None:
    text = """(float[1, 5, h, 4] x) => (float[1, 5, a, b] y) { y = Resize <mode = "linear"> (x, , , sizes) }"""
    assert_refuses(graph(text, {"sizes": np.array([1, 5, 24, 32])}), RULE, "Resize has no fixed sizes")


def test_passes_by_a_resize_by_scales() -> None:
    text = '(float[1, 5, 3, 4] x) => (float[1, 5, 6, 8] y) { y = Resize <mode = "linear"> (x, , scales) }'
    assert_passes_by(graph(text, {"scales": np.array([1.0, 1, 2, 2])}), RULE)

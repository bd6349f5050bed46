"""A folded pool beside the raw one: the image is gone through once."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.export.fuse.pool_shared import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

GEOMETRY = "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]"
TWICE = f"""(float[2, 3, 9, 8] x) => (float[2, 6, 5, 4] y) {{
    raw = AveragePool <{GEOMETRY}, count_include_pad = 1> (x)
    folded = Conv <{GEOMETRY}, group = 3> (x, w, b)
    y = Concat <axis = 1> (raw, folded)
}}"""


def weights(rng: np.random.Generator) -> dict[str, Array]:
    scale = rng.normal(size=(3, 1, 1, 1)) / 9
    return {"w": np.broadcast_to(scale, (3, 1, 3, 3)), "b": rng.normal(size=3)}


def test_the_image_is_pooled_once(rng: np.random.Generator) -> None:
    assert_fires(graph(TWICE, weights(rng)), RULE, left={"AveragePool": 1, "Mul": 1, "Add": 1, "Concat": 1})


def test_a_folded_pool_without_a_bias(rng: np.random.Generator) -> None:
    left = {"AveragePool": 1, "Mul": 1, "Add": 1, "Concat": 1}
    assert_fires(graph(TWICE.replace("(x, w, b)", "(x, w)"), weights(rng)), RULE, left=left)


def test_not_where_the_border_divides_by_fewer_pixels(rng: np.random.Generator) -> None:
    text = TWICE.replace("count_include_pad = 1", "count_include_pad = 0")
    assert_refuses(graph(text, weights(rng)), RULE, "AveragePool divides by fewer pixels at the border")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("group = 3> (x", "group = 3> (raw"),  # another image
        ("pads = [1, 1, 1, 1], group", "pads = [2, 2, 0, 0], group"),  # other windows
    ],
)
def test_passes_by_what_is_not_the_same_pool(rng: np.random.Generator, was: str, becomes: str) -> None:
    text = TWICE.replace(was, becomes)
    if "raw, w" in text:
        text = text.replace("y = Concat <axis = 1> (raw, folded)", "y = Relu (folded)").replace("6, 5, 4", "3, 3, 2")
    assert_passes_by(graph(text, weights(rng)), RULE)


def test_passes_by_a_kernel_that_weighs_its_taps(rng: np.random.Generator) -> None:
    given = weights(rng)
    given["w"] = given["w"].copy()
    given["w"][1, 0, 2, 2] *= 1.001
    assert_passes_by(graph(TWICE, given), RULE)

"""An average pool as a convolution."""

from __future__ import annotations

import pytest

from cgnet_deploy.export.fuse.pool_conv import RULE
from tests.export.graphs import assert_fires, assert_refuses, graph

POOL = """(float[2, 3, 9, 8] x) => (float[2, 3, 5, 4] y) {
    y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], count_include_pad = 1> (x)
}"""


def test_a_pool_that_counts_its_padding_is_a_convolution() -> None:
    assert_fires(graph(POOL, {}), RULE, left={"Conv": 1})


def test_two_pools_in_a_row() -> None:
    text = POOL.replace("y = Average", "half = Average").replace("float[2, 3, 5, 4] y", "float[2, 3, 3, 2] y")
    second = POOL.splitlines()[1].replace("(x)", "(half)")
    assert_fires(graph(text.replace("}", second + "}"), {}), RULE, times=2, left={"Conv": 2})


def test_any_window() -> None:
    text = POOL.replace("[3, 3]", "[2, 4]").replace("[1, 1, 1, 1]", "[1, 0, 0, 2]")
    assert_fires(graph(text, {}), RULE, left={"Conv": 1})


@pytest.mark.parametrize("attribute", ["count_include_pad = 0", "count_include_pad = 1, ceil_mode = 1"])
def test_not_where_the_border_divides_by_fewer_pixels(attribute: str) -> None:
    text = POOL.replace("count_include_pad = 1", attribute).replace("5, 4", "h, w")
    assert_refuses(graph(text, {}), RULE, "AveragePool divides by fewer pixels at the border")


def test_not_where_the_width_is_unknown() -> None:
    text = POOL.replace("[2, 3, 9, 8]", "[2, c, 9, 8]").replace("[2, 3, 5, 4]", "[2, c, 5, 4]")
    assert_refuses(graph(text, {}), RULE, "AveragePool has an unknown number of channels")

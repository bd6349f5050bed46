"""The stem on even and odd rows apart, by Winograd's F(2, 3)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgnet_deploy.export.fuse.stem_rows import RULE
from tests.export.graphs import Array, assert_fires, assert_passes_by, assert_refuses, graph

STEM = """(float[2, 3, 24, 18] x) => (float[2, 6, 6, 5] y) {
    a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, u, b)
    line = Conv <group = 20> (a, slope)
    bend = Conv <group = 20> (a, rest)
    relu = Relu (bend)
    p = Add (line, relu)
    c = Conv <pads = [1, 1, 1, 1]> (p, v, d)
    y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (c, w, e)
}"""


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {
        "u": rng.normal(size=(20, 3, 3, 3)),
        "b": rng.normal(size=20),
        "slope": rng.uniform(-0.5, 0.9, (20, 1, 1, 1)),
        "rest": rng.uniform(0.1, 1.5, (20, 1, 1, 1)),
        "v": rng.normal(size=(24, 20, 3, 3)),
        "d": rng.normal(size=24),
        "w": rng.normal(size=(6, 24, 3, 3)),
        "e": rng.normal(size=6),
    }


# of the first convolution 2, of the PReLU 4, of F(2, 3) 4 products and 4 signs, of the last convolution 2
LEFT = {"Conv": 16, "Relu": 2, "Add": 2 + 6 + 1}


def test_one_convolution_between_the_image_and_the_next_stage(rng: np.random.Generator) -> None:
    assert_fires(graph(STEM, weights(rng)), RULE, left=LEFT)


def test_two_convolutions_in_a_row(rng: np.random.Generator) -> None:
    text = STEM.replace("y = Conv", "f = Conv <pads = [1, 1, 1, 1]> (c, g) y = Conv").replace("(c, w, e)", "(f, w, e)")
    left = {"Conv": 24, "Relu": 2, "Add": 15}
    assert_fires(graph(text, weights(rng) | {"g": rng.normal(size=(24, 24, 3, 3))}), RULE, left=left)


def test_two_readers_at_the_end(rng: np.random.Generator) -> None:
    text = STEM.replace("y = Conv", "z = Conv").replace(
        "}", "t = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (c, w) y = Add (z, t) }"
    )
    assert_fires(graph(text, weights(rng)), RULE, left={"Conv": 18, "Relu": 2, "Add": 11})


@settings(max_examples=15, derandomize=True)
@given(quarter=st.integers(1, 9), width=st.integers(1, 33), seed=st.integers(0, 99))
def test_any_height_of_four_and_any_width(quarter: int, width: int, seed: int) -> None:
    text = STEM.replace("24, 18]", f"{4 * quarter}, {width}]").replace("6, 5]", f"{quarter}, {-(-width // 4)}]")
    assert_fires(graph(text, weights(np.random.default_rng(seed))), RULE, left=LEFT)


@pytest.mark.parametrize("height", [22, 26])
def test_not_where_the_rows_are_odd(rng: np.random.Generator, height: int) -> None:
    text = STEM.replace("24, 18]", f"{height}, 18]").replace("[2, 6, 6, 5]", f"[2, 6, {(height + 2) // 4}, 5]")
    assert_refuses(graph(text, weights(rng)), RULE, f"Conv makes an odd number of rows, {height // 2}")


def test_not_where_the_size_is_open(rng: np.random.Generator) -> None:
    text = STEM.replace("24, 18]", "H, W]").replace("[2, 6, 6, 5]", "[2, 6, h, w]")
    assert_refuses(graph(text, weights(rng)), RULE, "Conv has no fixed height")


@pytest.mark.parametrize(
    ("nodes", "whole"),
    [
        ("c = Conv <dilations = [2, 2], pads = [2, 2, 2, 2]> (s, v, d)", "Conv_4"),
        ("q = Conv <group = 20, pads = [1, 1, 1, 1]> (s, k) c = Conv <pads = [1, 1, 1, 1]> (q, v, d)", "Conv_4"),
        ("q = Max (s, a) c = Conv <pads = [1, 1, 1, 1]> (q, v, d)", "Max"),
    ],
)
def test_not_where_a_node_needs_all_rows(rng: np.random.Generator, nodes: str, whole: str) -> None:
    dense = "c = Conv <pads = [1, 1, 1, 1]> (p, v, d)"
    text = STEM.replace(dense, f"s = Conv <pads = [1, 1, 1, 1]> (p, t) {nodes}")
    more = {"k": rng.normal(size=(20, 1, 3, 3)), "t": rng.normal(size=(20, 20, 3, 3))}
    assert_refuses(graph(text, weights(rng) | more), RULE, f"{whole} needs even and odd rows together")


def test_not_where_a_result_leaves_the_graph(rng: np.random.Generator) -> None:
    text = STEM.replace("float[2, 6, 6, 5] y", "float[2, 24, 12, 9] c")
    text = text[: text.index("y = ")] + "}"
    assert_refuses(graph(text, weights(rng)), RULE, "c leaves the graph")


def test_passes_by_a_stem_without_a_dense_convolution(rng: np.random.Generator) -> None:
    text = STEM.replace("c = Conv <pads = [1, 1, 1, 1]> (p, v, d)", "c = Relu (p)")
    assert_passes_by(graph(text, weights(rng) | {"w": rng.normal(size=(6, 20, 3, 3))}), RULE)


def test_passes_by_a_convolution_of_stride_two_that_reads_features(rng: np.random.Generator) -> None:
    text = STEM.replace("[2, 3, 24, 18] x", "[2, 16, 24, 18] x")
    assert_passes_by(graph(text, weights(rng) | {"u": rng.normal(size=(20, 16, 3, 3))}), RULE)

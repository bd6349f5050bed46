"""A concat of concats."""

from __future__ import annotations

from cgnet_deploy.export.fuse.concat_flat import RULE
from tests.export.graphs import assert_fires, assert_passes_by, graph

NESTED = """(float[2, 3, 4, 5] x) => (float[2, 12, 4, 5] y) {
    a = Relu (x)
    b = Neg (x)
    ab = Concat <axis = 1> (a, b)
    y = Concat <axis = 1> (x, ab, b)
}"""


def test_keeps_the_order_of_the_parts() -> None:
    assert_fires(graph(NESTED, {}), RULE, left={"Relu": 1, "Neg": 1, "Concat": 1})


def test_three_deep() -> None:
    text = NESTED.replace("y =", "z =").replace("}", "y = Concat <axis = 1> (z, a, ab) }")
    model = graph(text.replace("12, 4, 5", "21, 4, 5"), {})
    assert_fires(model, RULE, times=2, left={"Relu": 1, "Neg": 1, "Concat": 1})


def test_an_inner_concat_with_another_reader_stays_for_it() -> None:
    text = (
        NESTED.replace("(x, ab, b)", "(ab, x)")
        .replace("y =", "z =")
        .replace("}", "s = Sigmoid (ab) t = Concat <axis = 1> (s, x) y = Add (z, t) }")
    )
    left = {"Relu": 1, "Neg": 1, "Concat": 3, "Sigmoid": 1, "Add": 1}
    assert_fires(graph(text.replace("12, 4, 5", "9, 4, 5"), {}), RULE, left=left)


def test_passes_by_concats_along_different_axes() -> None:
    text = NESTED.replace("(x, ab, b)", "(x, x)").replace("ab = Concat <axis = 1>", "ab = Concat <axis = 2>")
    text = text.replace("y = Concat <axis = 1> (x, x)", "y = Concat <axis = 1> (ab, ab)")
    assert_passes_by(graph(text.replace("12, 4, 5", "6, 8, 5"), {}), RULE)

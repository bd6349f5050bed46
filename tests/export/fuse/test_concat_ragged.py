"""A join with the pooled image apart, and no other concat."""

from __future__ import annotations

import numpy as np

from cgnet_deploy.export.fuse.concat_ragged import CONV, SINK
from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.graph import count_ops, serialise
from tests.export.graphs import Array, assert_refuses, assert_same_outputs, check_onnx, example, graph

JOIN = """(float[2, 11, 9, 7] x) => (float[2, 6, 5, 4] y) {
    a, b = Split <axis = 1> (x, sizes)
    joint = Concat <axis = 1> (a, b)
    bent = PRelu (joint, slope)
    y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (bent, w)
}"""


def weights(rng: np.random.Generator, few: int = 3) -> dict[str, Array]:
    return {
        "sizes": np.array([11 - few, few]),
        "slope": rng.uniform(-0.5, 1.5, size=(11, 1, 1)),
        "w": rng.normal(size=(6, 11, 3, 3)),
    }


def test_three_channels_get_an_activation_and_a_convolution_of_their_own(rng: np.random.Generator) -> None:
    model = graph(JOIN, weights(rng))
    before = serialise(model)
    report = apply(model, [SINK, CONV])
    assert report.fired == {"ragged-sink": 1, "ragged-conv": 1}
    assert count_ops(model) == {"PRelu": 2, "Conv": 2, "Split": 1, "Add": 1}
    assert_same_outputs(before, serialise(model), [example(model)])
    check_onnx(model)


def test_parts_that_fill_a_vector_stay_together(rng: np.random.Generator) -> None:
    given = weights(rng) | {"sizes": np.array([8, 8]), "slope": np.full((16, 1, 1), 0.2)}
    text = JOIN.replace("[2, 11,", "[2, 16,")
    reason = "no part of Concat has fewer than 8 channels"
    assert_refuses(graph(text, given | {"w": rng.normal(size=(6, 16, 3, 3))}), SINK, reason)


def test_a_convolution_right_behind_such_a_concat_stays_one_too(rng: np.random.Generator) -> None:
    given = weights(rng) | {"sizes": np.array([8, 8]), "w": rng.normal(size=(6, 16, 3, 3))}
    text = JOIN.replace("[2, 11,", "[2, 16,").replace("bent = PRelu (joint, slope)", "").replace("(bent", "(joint")
    assert_refuses(graph(text, given), CONV, "no part of Concat has fewer than 8 channels")

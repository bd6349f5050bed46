"""What a runtime refuses of a quantised graph is found before a file is written."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from cgnet_deploy.export.qdq_check import faults
from tests.export.graphs import Array, graph

# A quantised convolution with its PReLU, and what may be wrong with it.
SOUND = """(float[1, 2, 5, 5] x) => (float[1, 2, 5, 5] y) {
    q = QuantizeLinear (x, s, z)
    d = DequantizeLinear (q, s, z)
    k = DequantizeLinear <axis = 0> (w, t, u)
    c = Conv <group = 2> (d, k, b)
    y = PRelu (c, slope)
}"""


def parts() -> dict[str, Array]:
    return {
        "s": np.array(0.5),
        "z": np.array(0, np.int8),
        "w": np.ones((2, 1, 3, 3), np.int8),
        "t": np.array([0.1, 0.2]),
        "u": np.zeros(2, np.int8),
        "b": np.zeros(2),
        "slope": np.full((2, 1, 1), 0.1),
    }


PAIR_AFTER_CONV = "p = QuantizeLinear (c, s, z)\n    e = DequantizeLinear (p, s, z)\n    "

# What is replaced in the text, tensors that differ, and a part of the message.
SPOILT: dict[str, tuple[dict[str, str], dict[str, Array], str]] = {
    "a quantised bias": (
        {"c = Conv": "e = DequantizeLinear (i, s, j)\n    c = Conv", "k, b)": "k, e)"},
        {"i": np.zeros(2, np.int32), "j": np.array(0, np.int32)},
        "dequantises int32: a bias stays f32",
    ),
    "an asymmetric activation": ({}, {"z": np.array(3, np.int8)}, "is not symmetric s8"),
    "u8 where s8 was asked for": ({}, {"z": np.array(128, np.uint8)}, "is not symmetric s8"),
    "one scale for all filters": (
        {"<axis = 0> ": ""},
        {"t": np.array(0.1), "u": np.array(0, np.int8)},
        "no scale for each filter",
    ),
    "weights on another axis": ({"axis = 0": "axis = 1"}, {"t": np.ones(1), "u": np.zeros(1, np.int8)}, "no scale for"),
    "asymmetric weights": ({}, {"u": np.array([0, 1], np.int8)}, "weights that are not symmetric"),
    "a scale of zero": ({}, {"t": np.array([0.1, 0.0])}, "not a positive constant"),
    "a pair before the activation": (
        {"y = PRelu (c": f"{PAIR_AFTER_CONV}y = PRelu (e"},
        {},
        "between Conv and its activation",
    ),
    "a pair before a concat and its activation": (
        {"y = PRelu (c": f"{PAIR_AFTER_CONV}o = Concat <axis = 1> (e, c)\n    y = PRelu (o"},
        {"slope": np.full((4, 1, 1), 0.1)},
        "between Conv and its activation",
    ),
    "different scales": ({"(q, s, z)": "(q, r, z)"}, {"r": np.array(0.25)}, "have different scales"),
    "weights alone": ({"(d, k": "(x, k"}, {}, "only one of its inputs in int8"),
    "an activation alone": ({"(d, k": "(d, f"}, {"f": np.ones((2, 1, 3, 3))}, "only one of its inputs in int8"),
}


def named(text: str, tensors: dict[str, Array]) -> ir.Model:
    model = graph(text, tensors)
    for node in model.graph:
        node.name = node.op_type
    return model


def test_a_sound_convolution_has_no_faults() -> None:
    assert faults(named(SOUND, parts())) == ()


@pytest.mark.parametrize("case", SPOILT)
def test_finds_what_a_runtime_refuses(case: str) -> None:
    edits, tensors, message = SPOILT[case]
    text = SOUND
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    found = faults(named(text, parts() | tensors))
    assert any(message in fault for fault in found), found

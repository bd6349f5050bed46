"""Layers by block, whatever a runtime calls them."""

from __future__ import annotations

import pytest

from cgnet_deploy.bench.report.blocks import block_of, by_block
from cgnet_deploy.engines.base import Layer


@pytest.mark.parametrize(
    ("name", "kind", "block"),
    [
        ("stem.0.conv/Conv", "Conv", "stem"),
        ("fused stage2.0.gate.squeeze/Gemm", "FusedGemm", "stage2.0"),
        ("stage3.20.entry.conv/Conv + PWN(stage3.20.entry.act/PRelu)", "", "stage3.20"),
        ("stage3.2/add", "add", "stage3.2"),
        ("join2.act/PRelu_2/bend", "GroupConvolution", "join2"),
        ("classifier/Conv/WithoutBiases", "Convolution", "classifier"),
        ("frames/Transpose_original", "Transpose", "pixels"),
        ("TopK_2284", "TopK", "argmax"),
        ("/avg_pool2d", "avg_pool2d", "pools"),
        ("/interpolate", "interpolate", "resize"),
        ("ReorderInput_token_13", "ReorderInput", "other"),
        ("system/Conv", "Conv", "other"),
    ],
)
def test_a_layer_belongs_to_the_block_that_its_name_tells(name: str, kind: str, block: str) -> None:
    assert block_of(Layer(name, kind, 1)) == block


def test_blocks_are_added_up_in_the_order_of_the_network() -> None:
    names = ("nothing", "stage3.10/x", "stage3.2/x", "stem.0/x", "stage3.2/y", "argmax", "join1/x")
    layers = [Layer(name, "", 2.0**i) for i, name in enumerate(names)]
    found = by_block(layers)
    assert list(found) == ["stem", "join1", "stage3.2", "stage3.10", "argmax", "other"]
    assert found["stage3.2"] == 4 + 16
    assert sum(found.values()) == sum(layer.mean_ns for layer in layers)

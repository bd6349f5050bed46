"""The floors against those of the specification, computed there by other means."""

from __future__ import annotations

import pytest

from cgnet_deploy.bench.tools.floor import Fusion, activations, floor_bytes
from cgnet_deploy.spec import Res

FULL = Res(1024, 2048)


@pytest.mark.parametrize(
    ("fusion", "millions", "labels_ms"),
    [("plain", 1166, 0.752), ("producers", 916, 0.585), ("next", 791, 0.501), ("twice", 640, 0.401)],
)
def test_floors_at_full_size(fusion: Fusion, millions: int, labels_ms: float) -> None:
    """At 3 TB/s, f16, 19 classes, labels out."""
    assert round(activations(fusion, FULL, 19) / 1e6) == millions
    assert round(floor_bytes(fusion, FULL, 19, 2) / 3e9, 3) == labels_ms


def test_floors_at_the_size_of_camvid() -> None:
    assert [round(2 * activations(fusion, Res(360, 480), 11) / 1e6) for fusion in ("plain", "producers")] == [189, 148]


def test_a_batch_costs_its_images() -> None:
    assert floor_bytes("next", FULL, 19, 2, batch=8) == 8 * floor_bytes("next", FULL, 19, 2)

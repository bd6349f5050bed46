"""Ranges as a file: read back as written, and refused when they are of something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cgnet_deploy.errors import ArtifactError
from cgnet_deploy.export.calibrate import Scales
from cgnet_deploy.export.ranges_file import Origin, Ranges, check_origin, hash_of, read_ranges, write_ranges

ORIGIN = Origin("c" * 64, "d" * 64, "f" * 64, 16, "mse")
RANGES = Ranges(
    ORIGIN, Scales({"stem.0.conv/Conv": 0.1 + 0.2}, {}, {"add": 0.7}), {"stem.0.conv/Conv": np.array([1 / 3, -2e-7])}
)


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    write_ranges(path, RANGES)
    found = read_ranges(path)
    assert (found.origin, found.scales) == (RANGES.origin, RANGES.scales)
    assert {name: values.tolist() for name, values in found.bias.items()} == {"stem.0.conv/Conv": [1 / 3, -2e-7]}


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("checkpoint", "another checkpoint"),
        ("graph", "another form of the graph"),
        ("frames", "other frames"),
        ("method", "another method"),
    ],
)
def test_is_not_used_for_anything_else(tmp_path: Path, field: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        check_origin(tmp_path / "ranges.json", ORIGIN, with_field(field, "x" * 64))
    check_origin(tmp_path / "ranges.json", ORIGIN, with_field(field, ""))  # not asked for


def with_field(field: str, value: str) -> Origin:
    return replace(ORIGIN, **{field: value})  # type: ignore[arg-type]


def spoilt(change: Callable[[Any], object]) -> str:
    data = {
        "schema": 1,
        "made": {"checkpoint": "c", "graph": "d", "frames": "f", "images": 16, "method": "mse"},
        "scales": {"reads": {"a": 0.5}, "results": {}, "added": {}},
        "bias": {"a": [0.0]},
    }
    change(data)
    return json.dumps(data)


BAD = {
    "empty": "",
    "no JSON": "{",
    "a list": "[1]",
    "deeply nested": "[" * 100_000,
    "another schema": spoilt(lambda d: d.update(schema=2)),
    "no scales": spoilt(lambda d: d.pop("scales")),
    "a scale of zero": spoilt(lambda d: d["scales"]["reads"].update(a=0)),
    "a negative scale": spoilt(lambda d: d["scales"]["reads"].update(a=-1)),
    "a scale that is NaN": spoilt(lambda d: d["scales"]["reads"].update(a=float("nan"))),
    "an infinite bias": spoilt(lambda d: d["bias"].update(a=[float("inf")])),
    "a scale in words": spoilt(lambda d: d["scales"]["reads"].update(a="large")),
    "a hash that is none": spoilt(lambda d: d["made"].update(checkpoint=7)),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses_what_is_no_such_file(tmp_path: Path, case: str) -> None:
    path = tmp_path / "ranges.json"
    path.write_text(BAD[case])
    with pytest.raises(ArtifactError, match="is no calibration cache of ours") as caught:
        read_ranges(path)
    assert "\n" not in str(caught.value)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="can't be read"):
        read_ranges(tmp_path / "none.json")


def test_frames_differ_by_pixels_and_by_sizes() -> None:
    frame = np.zeros((4, 6, 3), np.uint8)
    other = frame.copy()
    other[1, 2, 0] = 1
    assert len({hash_of([frame]), hash_of([other]), hash_of([frame, frame]), hash_of([frame.reshape(6, 4, 3)])}) == 4

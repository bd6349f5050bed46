"""The C++ library refuses what engines/outside.py does: a tensor whose data is in another file, wherever it hides."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from cgnet_deploy.artifact import sidecar_path
from cgnet_deploy.pixels import U8
from tests.engines.graphs import FIXED, drawn_frames, network
from tests.engines.test_outside import PLACES, described

REFUSED = "cgnet_video: {} keeps weights in other files, which is refused; save it as one file\n"
DAMAGED = "cgnet_video: {} is not a valid ONNX file, or cut short; export it again with cgnet-export\n"


@pytest.fixture(scope="module")
def video(make_video: Callable[[str, U8], Path]) -> Path:
    return make_video("drawn.avi", drawn_frames(1, 40, 56))


def labelled(program: Path, engine: Path, video: Path) -> subprocess.CompletedProcess[str]:
    flags = ("--engine", engine, "--input", video, "--masks", engine.with_suffix(".u8"), "--threads", "1")
    return subprocess.run(
        [str(word) for word in (program, *flags)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("place", PLACES)
def test_data_in_another_file_is_refused_wherever_it_is_named(
    place: str, program: Path, video: Path, tmp_path: Path
) -> None:
    model, path = network("tensor", FIXED), tmp_path / "a.onnx"
    PLACES[place](model)
    described(path, model.SerializeToString())
    for _ in ("with a sidecar", "by its metadata alone"):
        done = labelled(program, path, video)
        assert (done.returncode, done.stderr) == (2, REFUSED.format(path))
        sidecar_path(path).unlink(missing_ok=True)


@pytest.mark.parametrize("inner", [1, 25])  # of 3 messages each
def test_depth_is_bounded(inner: int, program: Path, video: Path, tmp_path: Path) -> None:
    model, path = network("tensor", FIXED), tmp_path / "a.onnx"
    node = helper.make_node("Constant", [], ["x"], value_float=1.0)
    for _ in range(inner):
        outer = helper.make_node("If", ["c"], ["x"])
        outer.attribute.append(onnx.AttributeProto(name="g", g=helper.make_graph([node], "inner", [], [])))
        node = outer
    model.functions.append(helper.make_function("d", "f", ["c"], ["x"], [node], [helper.make_opsetid("", 17)]))
    described(path, model.SerializeToString())
    done = labelled(program, path, video)
    assert (done.returncode == 2 and done.stderr == DAMAGED.format(path)) == (inner == 25), done.stderr

"""The generic file in the words of its readers: opset, IR version and operators, and the same labels in other hands.

`make interop` loads the files in the runtimes themselves (docs/runtimes.md); this is what can be told in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from cgnet_deploy.export.choices import OPSET, Dynamic
from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.fuse.rules import FOLD
from cgnet_deploy.export.half import to_half
from cgnet_deploy.export.io_nodes import give_labels, take_frames
from cgnet_deploy.export.opset import finished
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.targets import target_named
from cgnet_deploy.export.trace import trace
from cgnet_deploy.spec import Res
from tests.engines.graphs import drawn_frames
from tests.export.networks import Character, trained
from tests.export.test_io_nodes import spec

RES = Res(64, 48)
STEEP = Character(steepest=1.7)  # a slope above 1: the second form of a PReLU


@dataclass(frozen=True, slots=True)
class Reader:
    """The newest opset and IR version that it reads, and operators of older files of ours that it refuses."""

    opset: int
    ir_version: int
    refuses: frozenset[str] = frozenset()


READERS = {
    "ONNX Runtime 1.15": Reader(19, 8),
    "OpenCV 4.6": Reader(17, 8, frozenset({"AveragePool", "Gather", "Gemm", "Min", "ReduceMean", "Unsqueeze"})),
    "RKNN Toolkit2": Reader(19, 10),
    "onnx2torch": Reader(17, 10),
    "LiteRT, by onnx2tf": Reader(17, 8, frozenset({"Gemm", "Unsqueeze"})),
}


def network(*, half: bool = False, batch: int = 1, dynamic: Dynamic = "none", labels: bool = True) -> ir.Model:
    model = trace(trained(character=STEEP), RES, batch=batch, dynamic=dynamic)
    if labels:
        take_frames(model, spec("rgb"))
        give_labels(model)
    apply(model, FOLD)
    apply(model, target_named("generic").forms)
    if half:
        to_half(model, frozenset())
    return model


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("labels", [True, False], ids=["frames", "tensor"])
@pytest.mark.parametrize("half", [False, True], ids=["f32", "f16"])
def test_every_reader_knows_the_words_of_a_file_of_fixed_size(reader: Reader, labels: bool, half: bool) -> None:
    file = onnx.load_from_string(finished(network(half=half, labels=labels), OPSET))
    assert file.opset_import[0].version <= reader.opset
    assert file.ir_version <= reader.ir_version
    assert {node.op_type for node in file.graph.node} & reader.refuses == set()


@pytest.mark.parametrize("half", [False, True], ids=["f32", "f16"])
def test_onnx_s_own_evaluator_gives_the_labels(half: bool) -> None:
    content, frames = finished(network(half=half), OPSET), drawn_frames(1, *RES)
    (labels,) = ReferenceEvaluator(onnx.load_from_string(content)).run(None, {"frames": frames})
    (wanted,) = run_single(content, [frames])
    assert len(np.unique(wanted)) > 1
    assert np.mean(labels == wanted) > (0.99 if half else 0.9999)  # f16 is rounded where each has it


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("labels", [True, False], ids=["frames", "tensor"])
def test_opencv_gives_the_same(labels: bool, batch: int) -> None:
    content = finished(network(batch=batch, labels=labels), OPSET)
    frames = drawn_frames(batch, *RES)
    given = frames if labels else np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32) - 110
    net = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    net.setInput(given)
    (wanted,) = run_single(content, [given])
    found = np.asarray(net.forward())
    if labels:
        assert np.mean(found == wanted) > 0.9999
    else:
        assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()

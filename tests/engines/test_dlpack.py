"""Frames and labels by DLPack on the faked GPU. Not yet run on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cgnet_deploy.engines import dlpack
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.devicearray import settled
from cgnet_deploy.engines.dlpack import COPIED, READ_ONLY
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import CgnetError, FrameError
from tests.engines.fake_dlpack import Lender
from tests.engines.fake_gpu import FakeGpu
from tests.engines.fake_streams import ELSEWHERE, THEIRS, Array
from tests.engines.graphs import drawn_frames
from tests.engines.test_trt import faked_plan, gpu

__all__ = ["gpu"]

FRAMES = drawn_frames(2, 40, 56)
F, L = (1, 40, 56, 3), (1, 40, 56)


@pytest.fixture
def engine(gpu: FakeGpu, tmp_path: Path) -> Engine:
    return open_engine(faked_plan(tmp_path / "fake.plan", "frames"))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("gap", [0, 8])
def test_on_a_named_stream_the_host_waits_for_nothing(gpu: FakeGpu, engine: Engine, old: bool, gap: int) -> None:
    expected = [engine.infer(frame[None]) for frame in FRAMES]
    frame, got = Lender(gpu, F, gap, old=old), [Lender(gpu, L, old=old) for _ in FRAMES]
    for content, labels in zip(FRAMES, got, strict=True):
        frame.fill(content[None])
        engine.infer_on_device(frame, labels, stream=THEIRS)
    frame.fill(0)
    assert not any(labels.content.any() for labels in got)
    gpu.streams.synchronize(THEIRS)
    for labels, want in zip(got, expected, strict=True):
        np.testing.assert_array_equal(labels.content, want)
    assert [(one.taken, one.given_back) for one in (frame, *got)] == [(2, 2), (1, 1), (1, 1)]


@pytest.mark.parametrize("named", ["neither", "labels"])
def test_without_a_named_stream_the_engines_waits_for_the_producer_and_the_host_for_the_labels(
    gpu: FakeGpu, engine: Engine, named: str
) -> None:
    frame, labels = Lender(gpu, F), Lender(gpu, L) if named == "neither" else Array(gpu, L)
    frame.fill(FRAMES[:1])
    engine.infer_on_device(frame, labels)
    frame.content[:] = 0  # on whatever stream: it was read
    gpu.streams.synchronize(THEIRS)
    np.testing.assert_array_equal(labels.content, engine.infer(FRAMES[:1]))


def test_an_array_that_leaves_its_stream_open_is_asked_by_dlpack(gpu: FakeGpu, engine: Engine) -> None:
    """As PyTorch's do, whose interface is version 2."""
    frame, labels = Lender(gpu, F), Lender(gpu, L)
    for array in (frame, labels):
        array.__cuda_array_interface__ = Array(gpu, array.shape, said={"version": 2}).__cuda_array_interface__
    frame.fill(FRAMES[:1])
    engine.infer_on_device(frame, labels)
    np.testing.assert_array_equal(labels.content, engine.infer(FRAMES[:1]))


@pytest.mark.parametrize(
    ("frames", "labels", "stream", "says"),
    [
        (
            {"code": 2, "bits": 32},
            {},
            THEIRS,
            "frames are of DLPack's type 2 with 32 bits and 1 lanes; wanted 1 with 8",
        ),
        ({"lanes": 3}, {}, THEIRS, "1 with 8 bits and 3 lanes; wanted 1 with 8 and 1, bytes"),
        ({"flags": COPIED}, {}, THEIRS, "frames came as a copy; wanted the memory itself"),
        ({"major": 2}, {}, THEIRS, "frames came by DLPack 2, which is not known here; wanted 1"),
        ({"strides": (6720, -168, 3, 1)}, {}, THEIRS, "have strides .*-168.*; wanted packed B, G, R"),
        ({"strides": (6720, 0, 3, 1)}, {}, THEIRS, "have strides .*; wanted packed B, G, R"),
        ({"sides": (1, 0, 56, 3)}, {}, THEIRS, r"frames have shape \(1, 0, 56, 3\); wanted"),
        ({"byte_offset": 1}, {}, THEIRS, "frames end behind the memory of the GPU: check"),
        ({"data": None}, {}, THEIRS, "frames aren't in the memory of a GPU: check"),
        ({"dlpack_device": (1, 0)}, {}, THEIRS, "frames are a Lender of DLPack's device 1; wanted 2, CUDA's memory"),
        ({"dlpack_device": (2, 1)}, {}, THEIRS, "frames are on GPU 1, the engine is on GPU 0"),
        ({}, {"flags": READ_ONLY}, THEIRS, "labels can't be written to"),
        (
            {},
            {"strides": (4480, 112, 2)},
            THEIRS,
            r"labels have .* strides .*112, 2\); wanted \(1, 40, 56\), contiguous",
        ),
        ({}, {}, ELSEWHERE, "frames can't be lent by DLPack: that stream is not of this device$"),
    ],
)
def test_what_can_not_be_taken_is_one_line_and_given_back(
    frames: dict[str, Any], labels: dict[str, Any], stream: int, says: str, gpu: FakeGpu, engine: Engine
) -> None:
    both = Lender(gpu, F, **frames), Lender(gpu, L, **labels)
    with pytest.raises(FrameError, match=says) as caught:
        engine.infer_on_device(*both, stream=stream)
    assert "\n" not in str(caught.value)
    assert all(one.taken == one.given_back for one in both)
    assert gpu.contexts == 0
    engine.infer(FRAMES[:1])


def test_what_is_no_capsule_or_a_used_one_is_refused(
    gpu: FakeGpu, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = Lender(gpu, F)
    capsule = frame.__dlpack__(stream=THEIRS, max_version=(1, 0), copy=False)
    monkeypatch.setattr(Lender, "__dlpack__", lambda *_, **__: capsule)
    with pytest.raises(FrameError, match="labels came as a PyCapsule that is no DLPack capsule, or was taken before"):
        engine.infer_on_device(frame, Lender(gpu, L), stream=THEIRS)
    assert frame.given_back == 1


def test_a_failed_start_gives_back_what_was_lent(gpu: FakeGpu, engine: Engine) -> None:
    engine.infer(FRAMES[:1])
    gpu.cudart.cudaGraphLaunch = lambda *_: (type("Status", (), {"name": "cudaErrorLaunchFailure"}),)
    both = Lender(gpu, F), Lender(gpu, L)
    with pytest.raises(CgnetError, match="cudaErrorLaunchFailure"):
        engine.infer_on_device(*both)
    assert [(one.taken, one.given_back) for one in both] == [(1, 1), (1, 1)]
    assert gpu.queue == []


def test_strides_of_a_side_of_1_do_not_matter() -> None:
    assert settled((1, 40, 1, 3), (1, 3, 1, 1)) == (120, 3, 3, 1)
    assert settled((2, 40, 56), None) == (2240, 56, 1)


def test_the_structs_are_those_of_a_real_producer() -> None:
    """PyTorch's, in the host's memory, which only the check of the device tells from a GPU's."""
    tensor = torch.arange(2 * 6, dtype=torch.uint8).reshape(2, 6)[:, 1:4]

    class Elsewhere:
        def __dlpack_device__(self) -> tuple[int, int]:
            return dlpack.CUDA, 0

        def __dlpack__(self, *, stream: int, **new: Any) -> Any:
            return tensor.__dlpack__(**new)

    with dlpack.lent("frames", Elsewhere(), 1) as it:
        assert (it.pointer, it.shape, it.strides) == (tensor.data_ptr(), (2, 3), (6, 1))
        assert not it.readonly

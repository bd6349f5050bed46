"""Frames in device memory on the faked GPU. Not yet run on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import CgnetError, EngineUnavailable, FrameError
from tests.engines.fake_gpu import FakeGpu
from tests.engines.fake_streams import CAPTURED, ELSEWHERE, THEIRS, Array
from tests.engines.graphs import drawn_frames
from tests.engines.test_trt import faked_plan, gpu

__all__ = ["gpu"]

FRAMES = drawn_frames(3, 40, 56)
F, L = (1, 40, 56, 3), (1, 40, 56)


@pytest.fixture
def engine(gpu: FakeGpu, tmp_path: Path) -> Engine:
    return open_engine(faked_plan(tmp_path / "fake.plan", "frames"))


@pytest.mark.parametrize("backend", ["trt", "trt-plain"])
@pytest.mark.parametrize("gap", [0, 8])
def test_device_frames_give_what_host_frames_give_in_the_order_of_their_stream(
    gpu: FakeGpu, backend: str, gap: int, tmp_path: Path
) -> None:
    """One piece of memory for all frames, overwritten in the order of the stream, which is waited for at the end."""
    with open_engine(f"{backend}:{faked_plan(tmp_path / 'fake.plan', 'frames')}") as engine:
        expected = [engine.infer(frame[None]) for frame in FRAMES]
        frame, got = Array(gpu, (1, 40, 56, 3), gap), [Array(gpu, (1, 40, 56)) for _ in FRAMES]
        for content, labels in zip(FRAMES, got, strict=True):
            frame.fill(content[None])
            engine.infer_on_device(frame, labels)
        frame.fill(0)
        assert not any(labels.content.any() for labels in got)  # the host waited for nothing
        gpu.streams.synchronize(THEIRS)
        for labels, want in zip(got, expected, strict=True):
            np.testing.assert_array_equal(labels.content, want)
        assert gpu.launches["graph"] == (6 if backend == "trt" else 0)
        np.testing.assert_array_equal(engine.infer(FRAMES[:1]), expected[0])
    assert (gpu.contexts, gpu.graphs, gpu.streams.events, len(gpu.memory)) == (0, 0, 0, 4)


def test_a_batch_has_gaps_between_its_rows(gpu: FakeGpu, engine: Engine) -> None:
    frames, labels = Array(gpu, FRAMES.shape, 8), Array(gpu, FRAMES.shape[:3])
    frames.fill(FRAMES)
    engine.infer_on_device(frames, labels)
    gpu.streams.synchronize(THEIRS)
    np.testing.assert_array_equal(labels.content, engine.infer(FRAMES))


@pytest.mark.parametrize("version", [2, 3])
def test_a_named_stream_comes_first_and_0_is_the_default_one(gpu: FakeGpu, engine: Engine, version: int) -> None:
    said = {"stream": None, "version": version}
    frame, labels = (Array(gpu, shape, said=said) for shape in (F, L))
    frame.content[:] = FRAMES[:1]
    engine.infer_on_device(frame, labels, stream=0)
    gpu.streams.synchronize(1)
    np.testing.assert_array_equal(labels.content, engine.infer(FRAMES[:1]))


def test_where_no_stream_is_named_the_labels_are_there(gpu: FakeGpu, engine: Engine) -> None:
    frame, labels = (Array(gpu, shape, said={"stream": None}) for shape in (F, L))
    frame.content[:] = FRAMES[:1]
    engine.infer_on_device(frame, labels)
    np.testing.assert_array_equal(labels.content, engine.infer(FRAMES[:1]))


@pytest.mark.parametrize(
    ("frames", "labels", "stream", "says"),
    [
        ({"typestr": "<f4"}, {}, None, r"frames are of type <f4; wanted \|u1, bytes"),
        ({"shape": (40, 56, 3)}, {}, None, r"frames have shape \(40, 56, 3\); wanted \(N, H, W, 3\), BGR"),
        ({"strides": (6720, 56, 1, 2240)}, {}, None, r"have strides .*; wanted packed B, G, R, rows one after"),
        ({"strides": (6720, 100, 3, 1)}, {}, None, r"have strides .*; wanted packed B, G, R, rows one after"),
        ({"strides": (0, 1 << 19, 3, 1)}, {}, None, "frames end behind the memory of the GPU: check"),
        ({"data": (64, False)}, {}, None, "frames aren't in the memory of a GPU: check"),
        ({"stream": 0}, {}, None, r"frames don't say which stream they are on; name it, .*current_stream\(\)"),
        ({"version": 2}, {}, None, "frames don't say which stream they are on; name it"),
        ({"stream": 1}, {}, None, "frames and labels are on two streams; name the one on which both are used"),
        ({}, {"data": (64, False)}, None, "labels aren't in the memory of a GPU"),
        ({}, {"data": (1 << 20, True)}, None, "labels can't be written to"),
        ({}, {"shape": (1, 40, 55)}, None, r"labels have shape \(1, 40, 55\) .*; wanted \(1, 40, 56\), contiguous"),
        ({}, {"strides": (4480, 112, 2)}, None, r"labels have .* strides .*112, 2\); wanted"),
        ({}, {}, CAPTURED, "the stream is being captured into a graph; call this outside of the capture"),
        ({}, {}, ELSEWHERE, "the stream is not one of GPU 0, on which the engine runs"),
    ],
)
def test_what_can_not_be_taken_is_one_line(
    frames: dict[str, Any], labels: dict[str, Any], stream: int | None, says: str, gpu: FakeGpu, engine: Engine
) -> None:
    with pytest.raises(FrameError, match=says) as caught:
        engine.infer_on_device(Array(gpu, F, said=frames), Array(gpu, L, said=labels), stream=stream)
    assert "\n" not in str(caught.value)
    assert gpu.contexts == 0
    engine.infer(FRAMES[:1])


def test_memory_of_another_gpu_and_of_the_host_is_refused(gpu: FakeGpu, engine: Engine) -> None:
    frame, labels = Array(gpu, F), Array(gpu, L)
    with pytest.raises(FrameError, match=r"frames are a ndarray of DLPack's device 1; wanted 2, CUDA's memory"):
        engine.infer_on_device(FRAMES[:1], labels)
    with pytest.raises(FrameError, match=r"frames are a list; wanted an array on the GPU \(__cuda"):
        engine.infer_on_device([FRAMES[:1]], labels)
    gpu.streams.on_gpu_1.add(frame.address)
    with pytest.raises(FrameError, match="frames are on GPU 1, the engine is on GPU 0"):
        engine.infer_on_device(frame, labels)


def test_another_size_than_the_engines_is_refused(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(faked_plan(tmp_path / "fake.plan", "frames"), res="48x56", batch=1)
    with pytest.raises(FrameError, match="frames are N=1 H=40 W=56, this engine takes N=1 H=48 W=56"):
        engine.infer_on_device(Array(gpu, F), Array(gpu, L))


def test_a_failed_start_waits_for_the_copy_of_the_frames(gpu: FakeGpu, engine: Engine) -> None:
    engine.infer(FRAMES[:1])
    gpu.cudart.cudaGraphLaunch = lambda *_: (type("Status", (), {"name": "cudaErrorLaunchFailure"}),)
    with pytest.raises(CgnetError, match="cudaErrorLaunchFailure"):
        engine.infer_on_device(Array(gpu, F), Array(gpu, L))
    assert gpu.queue == []


@pytest.mark.parametrize("gpu", ["tensor"], indirect=True)
def test_a_plan_from_planes_to_logits_points_to_one_from_frames(gpu: FakeGpu, tmp_path: Path) -> None:
    engine = open_engine(faked_plan(tmp_path / "fake.plan", "tensor"))
    with pytest.raises(EngineUnavailable, match=r"by a plan from frames to labels.* takes a tensor and gives logits"):
        engine.infer_on_device(Array(gpu, F), Array(gpu, L))


def test_an_engine_on_host_memory_says_so(fixed_onnx: Any) -> None:
    with (
        open_engine(f"opencv:{fixed_onnx.path}") as engine,
        pytest.raises(EngineUnavailable, match=r"takes frames in host memory; trt: takes those that are on a GPU"),
    ):
        engine.infer_on_device(FRAMES[:1], None)

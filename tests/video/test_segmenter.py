"""`Segmenter`: the labels of the engine, for frames of any size, in any number, from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread

import cv2
import numpy as np
import pytest

from cgnet_deploy.artifact import Shape
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import FrameError, UsageError
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res
from cgnet_deploy.video.segmenter import Segmenter
from tests.engines.graphs import drawn_frames, logits_of, written
from tests.networks import drawn as network

FIXED, DYNAMIC = (1, 40, 56), (None, None, None)
BACKENDS = ("ort", "openvino")


def onnx(folder: Path, shape: Shape = FIXED) -> str:
    return str(written(folder / "tiny.onnx", "frames", shape).path)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [FIXED, DYNAMIC, (3, 40, 56)])
def test_labels_are_those_of_the_network(backend: str, shape: Shape, tmp_path: Path) -> None:
    frames = drawn_frames(4, 40, 56)  # 4: an engine of 3 gets a full batch and a filled-up one
    with Segmenter(f"{backend}:{onnx(tmp_path, shape)}") as segmenter:
        wanted = logits_of(frames).argmax(1)
        np.testing.assert_array_equal(segmenter.segment_batch(frames), wanted)
        np.testing.assert_array_equal(segmenter.segment(frames[2]), wanted[2])
        np.testing.assert_array_equal([done.labels for done in segmenter.stream(frames)], wanted)


def test_a_checkpoint_is_run_too(tmp_path: Path) -> None:
    path, model = tmp_path / "model.pth", network()
    save_checkpoint(path, model, model_spec("camvid-official", model.classes, model.blocks), {})
    frames = drawn_frames(2, 40, 56)
    with Segmenter(str(path)) as segmenter, open_engine(str(path)) as engine:
        np.testing.assert_array_equal(segmenter.segment_batch(frames), engine.infer(frames))


def test_a_frame_of_another_size_is_resized_linearly_and_its_labels_come_back_by_the_nearest(tmp_path: Path) -> None:
    (frame,) = drawn_frames(1, 96, 128)
    small = cv2.resize(frame, (56, 40), interpolation=cv2.INTER_LINEAR)
    wanted = logits_of(small[None]).argmax(1)[0].astype(np.uint8)
    # By hand: pixel x of the large map shows pixel floor((x + 0.5) * 56 / 128) of the small one.
    rows = np.floor((np.arange(96) + 0.5) * 40 / 96).astype(int)
    columns = np.floor((np.arange(128) + 0.5) * 56 / 128).astype(int)
    with Segmenter(onnx(tmp_path)) as segmenter:
        np.testing.assert_array_equal(segmenter.segment(frame), wanted[rows][:, columns])


def test_an_open_size_follows_the_frame_unless_one_is_asked_for(tmp_path: Path) -> None:
    (frame,) = drawn_frames(1, 72, 64)
    ref = onnx(tmp_path, DYNAMIC)
    with Segmenter(ref) as own, Segmenter(ref, res=Res(40, 56)) as asked:
        np.testing.assert_array_equal(own.segment(frame), logits_of(frame[None]).argmax(1)[0])
        assert asked.segment(frame).shape == (72, 64)
        assert (asked.segment(frame) != own.segment(frame)).any()


@pytest.mark.parametrize("shape", [FIXED, DYNAMIC])
def test_frames_of_several_sizes_in_one_batch(shape: Shape, tmp_path: Path) -> None:
    frames = [*drawn_frames(2, 40, 56), *drawn_frames(1, 72, 64), *drawn_frames(1, 40, 56, seed=3)]
    with Segmenter(onnx(tmp_path, shape)) as segmenter:
        together = segmenter.segment_batch(frames)
        for frame, labels in zip(frames, together, strict=True):
            np.testing.assert_array_equal(segmenter.segment(frame), labels)
        assert segmenter.segment_batch([]) == []


@pytest.mark.parametrize("engines", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_four_threads_get_the_masks_that_one_gets(backend: str, engines: int, tmp_path: Path) -> None:
    frames = drawn_frames(32, 40, 56)
    together = Barrier(4)

    def part(first: int) -> list[U8]:
        together.wait(10)
        return [segmenter.segment(frame) for frame in frames[first::4] for _ in range(3)]

    with Segmenter(f"{backend}:{onnx(tmp_path)}", engines=engines, threads=1) as segmenter:
        alone = [segmenter.segment(frame) for frame in frames]
        with ThreadPoolExecutor(4) as pool:
            for first, found in enumerate(pool.map(part, range(4))):
                for labels, wanted in zip(found, np.repeat(np.stack(alone[first::4]), 3, axis=0), strict=True):
                    np.testing.assert_array_equal(labels, wanted)


def test_no_engine_ever_serves_two_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Segmenter(onnx(tmp_path), engines=2) as segmenter:
        inside: list[object] = []
        for engine in segmenter._engines:

            def infer(frames: U8, engine: object = engine) -> U8:
                assert engine not in inside
                inside.append(engine)
                two_are_in.wait(10)  # both engines are needed to get past here
                inside.remove(engine)
                return np.zeros(frames.shape[:3], np.uint8)

            monkeypatch.setattr(engine, "infer", infer)
        two_are_in = Barrier(2)
        with ThreadPoolExecutor(4) as pool:
            assert len(list(pool.map(segmenter.segment, drawn_frames(8, 40, 56)))) == 8


def test_closing_waits_for_the_call_under_way_and_refuses_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter, (frame,) = Segmenter(onnx(tmp_path)), drawn_frames(1, 40, 56)
    started, go_on, order = Event(), Event(), []
    (engine,) = segmenter._engines

    def infer(frames: U8) -> U8:
        started.set()
        go_on.wait(10)
        order.append("inferred")
        return np.zeros(frames.shape[:3], np.uint8)

    monkeypatch.setattr(engine, "infer", infer)
    monkeypatch.setattr(engine, "close", lambda: order.append("closed"))
    caller = Thread(target=segmenter.segment, args=(frame,))
    caller.start()
    started.wait(10)
    closer = Thread(target=segmenter.close)
    closer.start()
    go_on.set()
    caller.join(10)
    closer.join(10)
    assert order == ["inferred", "closed"]
    with pytest.raises(UsageError, match="closed"):
        segmenter.segment(frame)


def test_an_engine_that_failed_serves_the_next_call(tmp_path: Path) -> None:
    (frame,) = drawn_frames(1, 40, 56)
    with Segmenter(onnx(tmp_path, (None, 40, 56))) as segmenter:
        with pytest.raises(FrameError):
            segmenter.segment_batch([frame, frame.astype(np.float32)])
        assert segmenter.segment(frame).shape == (40, 56)


@pytest.mark.parametrize(
    "frame",
    [
        None,
        np.zeros((40, 56), np.uint8),
        np.zeros((40, 56, 4), np.uint8),
        np.zeros((40, 56, 3), np.float32),
        np.zeros((0, 56, 3), np.uint8),
    ],
)
def test_anything_but_a_frame_is_refused(frame: object, tmp_path: Path) -> None:
    with Segmenter(onnx(tmp_path)) as segmenter, pytest.raises(FrameError):
        segmenter.segment(frame)  # type: ignore[arg-type]


def test_a_frame_too_small_for_an_open_size_is_refused(tmp_path: Path) -> None:
    with Segmenter(onnx(tmp_path, DYNAMIC)) as segmenter, pytest.raises(UsageError, match="out of range"):
        segmenter.segment(np.zeros((8, 8, 3), np.uint8))


def test_zero_engines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 engines"):
        Segmenter(onnx(tmp_path), engines=0)

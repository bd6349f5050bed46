"""What every engine owes; test_contract.py holds each backend of the table to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.errors import EngineUnavailable, FrameError
from cgnet_deploy.pixels import U8, to_tensor
from tests.engines.graphs import SPEC, drawn_frames, logits_of

F32_ROUNDING = 1e-4
F16_ROUNDING = 0.02  # some twenty layers of sums in f16


def network_logits(path: Path, frames: U8) -> npt.NDArray[np.float64]:
    """Of a checkpoint, in f64."""
    tensor = torch.from_numpy(to_tensor(frames, SPEC.input)).double()
    with torch.inference_mode():
        logits: npt.NDArray[np.float64] = load_checkpoint(path).model.double()(tensor).numpy()
    return logits


class EngineContract:
    """Subclasses give the fixture `path`, a file that leaves N, H and W open, and `open`."""

    def open(self, path: Path, batch: int | None = None) -> Engine:
        raise NotImplementedError

    def logits(self, path: Path, frames: U8) -> npt.NDArray[np.floating]:
        """(N, K, H, W): what the labels must be the argmax of."""
        checkpoint = path.with_suffix(".pth")  # beside a file of the whole network
        return network_logits(checkpoint, frames) if checkpoint.exists() else logits_of(frames)

    def rounding(self) -> float:
        """How far a logit may be off, as a part of the largest one."""
        return F32_ROUNDING

    def on_gpu(self) -> bool:
        """There the kernels are chosen for each shape, and of equal classes any may win."""
        return False

    def assert_same(self, labels: U8, wanted: U8) -> None:
        """Labels of the same frames, from two inferences between which kernels may have been chosen again."""
        assert labels.shape == wanted.shape
        same = (labels == wanted).mean()
        assert same >= (0.98 if self.on_gpu() or self.rounding() != F32_ROUNDING else 1), f"{same:.2%} are the same"

    @pytest.fixture
    def engine(self, path: Path) -> Engine:
        return self.open(path)

    def test_gives_the_labels_of_the_network(self, path: Path, engine: Engine) -> None:
        frames = drawn_frames(2, 40, 56)
        labels = engine.infer(frames)
        assert labels.dtype == np.uint8
        assert labels.shape == (2, 40, 56)
        logits = self.logits(path, frames)
        second, first = np.sort(logits, axis=1)[:, -2:].swapaxes(0, 1)
        # Two computations of one sum may differ by its rounding, so a pixel counts only where more than that
        # lies between the two best classes; equal logits count where sums are exact.
        rounding = self.rounding()
        exact = logits.dtype == np.float32 and rounding == F32_ROUNDING and not self.on_gpu()
        sure = first - second > (-1 if exact else rounding * np.abs(logits).max())
        assert sure.mean() > (0.98 if rounding == F32_ROUNDING else 0.5)
        assert len(np.unique(logits.argmax(1)[sure])) == logits.shape[1]
        np.testing.assert_array_equal(labels[sure], logits.argmax(1)[sure])

    def test_logits_where_there_are_any_are_those_of_the_labels(self, engine: Engine) -> None:
        frames = drawn_frames(2, 40, 56)
        logits = engine.logits(frames)
        if logits is None:
            return
        kept = logits.copy()
        self.assert_same(engine.infer(frames), logits.argmax(1).astype(np.uint8))
        engine.logits(drawn_frames(2, 40, 56, seed=9))
        np.testing.assert_array_equal(logits, kept)  # no runtime's memory

    def test_a_batch_is_its_frames(self, engine: Engine) -> None:
        frames = drawn_frames(3, 40, 56)
        together = engine.infer(frames)
        for i in range(3):
            alone = engine.infer(frames[i : i + 1])[0]
            self.assert_same(alone, together[i])

    def test_takes_another_size_and_the_first_again(self, engine: Engine) -> None:
        small, large = drawn_frames(1, 40, 56), drawn_frames(1, 72, 64)
        before = engine.infer(small)
        assert engine.infer(large).shape == (1, 72, 64)
        self.assert_same(engine.infer(small), before)

    def test_labels_stay_when_the_next_frames_come(self, engine: Engine) -> None:
        labels = engine.infer(drawn_frames(1, 40, 56, seed=1))
        kept = labels.copy()
        others = engine.infer(drawn_frames(1, 40, 56, seed=2))
        np.testing.assert_array_equal(labels, kept)
        assert (others != kept).any()

    def test_infer_is_its_four_steps(self, engine: Engine) -> None:
        frames = drawn_frames(1, 40, 56)
        at_once = engine.infer(frames)
        engine.infer(drawn_frames(1, 40, 56, seed=2))
        engine.load(frames.copy())  # a copy that nobody else keeps: the engine must
        overwriting = [np.full(frames.size, 255, np.float32) for _ in range(8)]
        for _ in range(2):  # a benchmark loads once and runs often
            engine.enqueue()
            engine.sync()
            self.assert_same(engine.fetch(), at_once)
        del overwriting

    def test_leaves_frames_alone_and_takes_any_layout(self, engine: Engine) -> None:
        frames = drawn_frames(2, 40, 112)[:, :, ::2]  # not contiguous, as a crop of a picture is
        kept = frames.copy()
        frames.flags.writeable = False
        self.assert_same(engine.infer(frames), engine.infer(kept.copy()))
        np.testing.assert_array_equal(frames, kept)

    @pytest.mark.parametrize(
        "frames",
        [
            np.zeros((1, 40, 56, 3), np.float32),
            np.zeros((40, 56, 3), np.uint8),
            np.zeros((1, 40, 56, 4), np.uint8),
            np.zeros((0, 40, 56, 3), np.uint8),
            np.zeros((1, 3, 40, 56), np.uint8),
        ],
        ids=["f32", "one frame", "four channels", "no frame", "channels first"],
    )
    def test_refuses_what_is_not_frames(self, engine: Engine, frames: U8) -> None:
        with pytest.raises(FrameError, match="wanted"):
            engine.infer(frames)

    def test_refuses_sizes_that_it_was_not_opened_for(self, path: Path) -> None:
        with self.open(path, batch=2) as engine:
            assert engine.infer(drawn_frames(2, 40, 56)).shape == (2, 40, 56)
            with pytest.raises(FrameError, match="frames are N=1 H=40 W=56, this engine takes N=2, any H and W"):
                engine.infer(drawn_frames(1, 40, 56))

    def test_closes_twice(self, path: Path) -> None:
        engine = self.open(path)
        engine.infer(drawn_frames(1, 40, 56))
        engine.close()
        engine.close()

    def test_times_itself_or_says_that_it_cannot(self, engine: Engine) -> None:
        engine.load(drawn_frames(1, 40, 56))
        if type(engine).device_ns is Engine.device_ns or "cpu" in engine.info.provider.lower():
            with pytest.raises(EngineUnavailable, match="has no clock of its own"):
                engine.device_ns()
        else:
            assert engine.device_ns() > 0

    def test_says_what_it_is(self, path: Path, engine: Engine) -> None:
        assert engine.info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert engine.info.shape == (None, None, None)
        assert engine.info.backend
        assert engine.info.provider

"""Frames of any size in, labels of the same size out: an engine for a video pipeline.

Where the engine's size is fixed and the frame's differs, the frame is resized linearly to the engine's size, and its
labels back by nearest neighbour (data/dataset.py). Where the file leaves the size open, the engine runs at the frame's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from threading import Condition
from typing import Any, Self

import numpy as np

from cgnet_deploy.data.dataset import fit_frame, fit_labels
from cgnet_deploy.engines.base import Engine, EngineInfo
from cgnet_deploy.engines.open import open_as
from cgnet_deploy.engines.request import Hints
from cgnet_deploy.errors import FrameError, UsageError
from cgnet_deploy.pixels import U8, check_frames
from cgnet_deploy.spec import MAX_PIXELS, Color, Res, Triple
from cgnet_deploy.video.stream import DEPTH, Stream


class Segmenter:
    """One network that any number of threads can use.

        with Segmenter("cgnet.onnx") as segmenter:
            labels = segmenter.segment(frame)                  # (H, W, 3) u8 BGR -> (H, W) u8
            for done in segmenter.stream(frames):              # reads, infers and yields at the same time
                show(done.frame, done.labels)

    ref         `cgnet.plan`, `cgnet.onnx`, `model.pth`, or with a backend before it: `openvino:cgnet.onnx`
    engines     how many engines to open; each has its own weights and buffers
    res, batch, threads, contract, names, mean, std, color, trust, weights, cache    as for `open_engine`

    Raises what `open_engine` raises. Every method may be called from any thread. An engine runs one call at a time and
    a call waits for a free engine, so two engines serve two threads at once. On a CPU one engine uses all cores; more
    engines gain little.
    """

    def __init__(
        self,
        ref: str | Path,
        *,
        res: Res | str | None = None,
        batch: int | None = None,
        threads: int | None = None,
        contract: str | None = None,
        names: str | Path | None = None,
        mean: Triple | None = None,
        std: Triple | None = None,
        color: Color | None = None,
        trust: bool = False,
        weights: str | None = None,
        cache: bool = True,
        engines: int = 1,
    ) -> None:
        if engines < 1:
            raise UsageError(f"{engines} engines: must be at least 1")
        self.ref = str(ref)
        hints, opened = Hints.of(contract, names, mean, std, color, trust, weights), list[Engine]()
        with ExitStack() as stack:
            for _ in range(engines):
                engine = open_as(self.ref, hints, res, batch, threads, profile=False, cache=cache)
                opened.append(stack.enter_context(engine))
            stack.pop_all()
        self._engines = opened
        self._idle = list(opened)
        self._changed = Condition()
        self._closed = False

    @property
    def info(self) -> EngineInfo:
        """What runs, where, and the meaning of each label."""
        return self._engines[0].info

    @property
    def engines(self) -> int:
        """How many calls run at once."""
        return len(self._engines)

    def segment(self, frame: U8) -> U8:
        """(H, W, 3) u8 BGR -> (H, W) u8 labels. Raises FrameError for anything else."""
        return self.segment_batch([frame])[0]

    def segment_batch(self, frames: Sequence[U8] | U8) -> list[U8]:
        """Frames (H, W, 3) u8 BGR, of one size or several -> their labels (H, W) u8, in order.

        An engine with a fixed batch runs full batches, the last one padded; any other runs consecutive frames of one
        size together.
        """
        sized = [(self._size(frame), frame) for frame in frames]
        labels: list[U8] = []
        with self._borrowed() as engine:
            for size, group in groupby(sized, key=lambda one: one[0]):
                batch = [frame for _, frame in group]
                inferred = _infer(engine, np.stack([fit_frame(frame, size) for frame in batch]))
                labels += [fit_labels(one, Res(*frame.shape[:2])) for one, frame in zip(inferred, batch, strict=True)]
        return labels

    def mean_margin(self, frame: U8) -> float | None:
        """How sure the network is: the highest logit of a pixel less the second, averaged over the frame.

        It takes another inference. None where the engine gives labels only, or has a single class.
        """
        with self._borrowed() as engine:
            size, n = self._size(frame), engine.info.shape[0] or 1
            logits = engine.logits(np.stack([fit_frame(frame, size)] * n))
        if logits is None or logits.shape[1] < 2:
            return None
        second, first = np.partition(logits[0], -2, axis=0)[-2:]
        return float((first - second).mean())

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """For Ray Data's `map_batches`, which opens one Segmenter a worker:

            ray.data.read_images("archive").map_batches(
                cg.Segmenter, fn_constructor_args=("cgnet.onnx",), fn_constructor_kwargs={"threads": 1},
                batch_size=16, num_cpus=1, concurrency=8)

        batch: {"image": pictures (H, W, 3) u8 **RGB**, as `read_images` gives them}. Adds "labels", (H, W) u8 each.
        """
        labels = self.segment_batch([np.ascontiguousarray(image[..., ::-1]) for image in batch["image"]])
        if len({one.shape for one in labels}) == 1:
            return {**batch, "labels": np.stack(labels)}
        column = np.empty(len(labels), object)
        column[:] = labels
        return {**batch, "labels": column}

    def stream(
        self,
        frames: Iterable[U8],
        *,
        live: bool = False,
        depth: int = DEPTH,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Stream[U8]:
        """Read, infer and consume at the same time: an iterator of `Done` (index, frame, labels, times), in order.

        live        drop frames that arrive too fast, keep the newest, and count the others in `dropped`; without it,
                    the source waits, nothing is lost, and all engines work
        depth       how many frames may wait on each side of the engine
        stopped     called while waiting; ends the stream when it returns True

        Leave the loop whenever you like; the threads then end. An error of the source or of an engine is raised by the
        loop, after the frames before it.
        """
        n = self.info.shape[0] or 1
        return Stream(
            frames, self.segment_batch, batch=n, live=live, depth=depth, workers=self.engines, stopped=stopped
        )

    def close(self) -> None:
        """Wait for running calls, then close every engine. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._idle) == len(self._engines))
            for engine in self._engines:
                engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _size(self, frame: U8) -> Res:
        """The size at which the engine runs for a frame."""
        if not isinstance(frame, np.ndarray) or frame.ndim != 3:
            raise FrameError(f"a frame is {getattr(frame, 'shape', type(frame).__name__)}; wanted (H, W, 3) u8, BGR")
        _, height, width, _ = check_frames(frame[None]).shape
        if height * width > MAX_PIXELS:
            raise FrameError(f"a frame is {height}x{width}; it may have at most {MAX_PIXELS} pixels")
        _, own_height, own_width = self.info.shape
        return Res(own_height or height, own_width or width).checked()

    @contextmanager
    def _borrowed(self) -> Iterator[Engine]:
        """A free engine, for the caller alone."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._closed)
            if self._closed:
                raise UsageError("this Segmenter is closed")
            engine = self._idle.pop()
        try:
            yield engine
        finally:
            with self._changed:
                self._idle.append(engine)
                self._changed.notify_all()


def _infer(engine: Engine, frames: U8) -> U8:
    """(N, H, W, 3) -> (N, H, W) for any N, whatever the engine's batch is."""
    n = engine.info.shape[0]
    if n is None or n == len(frames):
        return engine.infer(frames)
    missing = -len(frames) % n
    padded = np.concatenate([frames, frames[-1:].repeat(missing, axis=0)])
    return np.concatenate([engine.infer(part) for part in np.split(padded, len(padded) // n)])[: len(frames)]

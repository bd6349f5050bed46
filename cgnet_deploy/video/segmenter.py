"""Frames of any size in, labels of the same size out: the engine as a video pipeline wants it.

Where the engine's size is fixed and the frame's is another, the frame is resized linearly to the engine's size
and its labels by the nearest neighbour back (data/dataset.py has both). A size that the file leaves open follows
the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from threading import Condition
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from cgnet_deploy.data.dataset import fit_frame, fit_labels
from cgnet_deploy.engines.base import Engine, EngineInfo
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import FrameError, UsageError
from cgnet_deploy.pixels import U8, check_frames
from cgnet_deploy.spec import MAX_PIXELS, Res
from cgnet_deploy.video.stream import DEPTH, Stream


class Segmenter:
    """One network for any number of threads.

    ref: `cgnet.plan`, `cgnet.onnx`, `model.pth`, or with a backend before it, as `openvino:cgnet.onnx`. res, batch,
    threads, contract: as in `open_engine`, whose errors it raises. engines: how many to open of the file.

    Every method may be called from every thread. An engine runs one call at a time; a call waits for one that is
    free, so two engines serve two threads at once. On a CPU one engine uses all cores and more of them gain little;
    each holds its own weights and buffers.
    """

    def __init__(
        self,
        ref: str,
        *,
        res: Res | None = None,
        batch: int | None = None,
        threads: int | None = None,
        contract: str | None = None,
        engines: int = 1,
    ) -> None:
        if engines < 1:
            raise UsageError(f"{engines} engines: wanted at least 1")
        opened: list[Engine] = []
        with ExitStack() as stack:
            for _ in range(engines):
                engine = open_engine(ref, res=res, batch=batch, threads=threads, contract=contract)
                opened.append(stack.enter_context(engine))
            stack.pop_all()
        self._engines = opened
        self._idle = list(opened)
        self._changed = Condition()
        self._closed = False

    @property
    def info(self) -> EngineInfo:
        """What runs, where, and what each label means."""
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

        An engine of a fixed batch runs full batches, the last one filled up; any other runs all frames of a size that
        follow each other at once.
        """
        sized = [(self._size(frame), frame) for frame in frames]
        labels: list[U8] = []
        with self._borrowed() as engine:
            for size, group in groupby(sized, key=lambda one: one[0]):
                given = [frame for _, frame in group]
                found = _infer(engine, np.stack([fit_frame(frame, size) for frame in given]))
                labels += [fit_labels(one, Res(*frame.shape[:2])) for one, frame in zip(found, given, strict=True)]
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
        """Read, infer and consume at the same time: an iterator of `Done`, in order. Without `live` all engines work.

        live: frames that come faster than they are served are dropped, the newest wins, `dropped` counts them; without
        it the source waits and nothing is lost. depth: frames that wait at most on each side of the engine. stopped:
        ends the stream when it returns True.
        """
        n = self.info.shape[0] or 1
        return Stream(
            frames, self.segment_batch, batch=n, live=live, depth=depth, workers=self.engines, stopped=stopped
        )

    def close(self) -> None:
        """Wait for the calls under way, then give back every engine. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._idle) == len(self._engines))
            for engine in self._engines:
                engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _size(self, frame: U8) -> Res:
        """The size in which the engine sees a frame."""
        if not isinstance(frame, np.ndarray) or frame.ndim != 3:
            raise FrameError(f"a frame is {getattr(frame, 'shape', type(frame).__name__)}; wanted (H, W, 3) u8, BGR")
        _, height, width, _ = check_frames(frame[None]).shape
        if height * width > MAX_PIXELS:
            raise FrameError(f"a frame is {height}x{width}; wanted at most {MAX_PIXELS} pixels")
        _, own_height, own_width = self.info.shape
        return Res(own_height or height, own_width or width).checked()

    @contextmanager
    def _borrowed(self) -> Iterator[Engine]:
        """An engine that nobody else uses."""
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
    filled = np.concatenate([frames, frames[-1:].repeat(missing, axis=0)])
    return np.concatenate([engine.infer(part) for part in np.split(filled, len(filled) // n)])[: len(frames)]

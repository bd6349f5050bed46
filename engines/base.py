"""What every engine is: frames in, labels out, and the four steps in between that a benchmark can time.

An engine is not thread-safe: one thread at a time, one engine per thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from cgnet_deploy.artifact import IO, Shape
from cgnet_deploy.engines.outputs import labels_from_scores, labels_in, scores_in
from cgnet_deploy.errors import EngineUnavailable, FrameError
from cgnet_deploy.pixels import F32, U8, check_frames, to_tensor
from cgnet_deploy.spec import ModelSpec, Precision, Res


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What runs. provider: what really executes it, as the runtime reports after loading.

    shape: the (N, H, W) that it takes, None where it takes any. sha256: of the file that it came from. assumed: what
    neither the file nor the user says of a file from outside, in words.
    """

    backend: str
    provider: str
    precision: Precision
    spec: ModelSpec
    shape: Shape
    sha256: str
    assumed: tuple[str, ...] = ()

    @property
    def res(self) -> Res:
        """Of the frames to feed it: its own size, where it takes any that of its input contract."""
        (_, height, width), own = self.shape, self.spec.input.res
        return Res(height or own.height, width or own.width)


Takes = Literal["frames", "rgb frames", "tensor"]
Gives = Literal["labels", "logits"]


@dataclass(frozen=True, slots=True)
class Ends:
    """What a graph takes and gives. A file from outside may pair them as it likes, and want its frames in RGB."""

    takes: Takes
    gives: Gives

    @classmethod
    def of(cls, io: IO) -> Ends:
        """Those of one of our files."""
        return cls(io, "labels" if io == "frames" else "logits")


@dataclass(frozen=True, slots=True)
class Layer:
    """What a runtime reports of one of its layers: the name it has kept, the kind of work, its mean time per inference.

    A runtime that has fused several layers names one of them, all of them, or none.
    """

    name: str
    kind: str
    mean_ns: float


WARM_RUNS = 5  # inferences before the ones whose layers are timed


def mean_of_last(runs: int, timed: Iterable[tuple[str, str, float]]) -> tuple[Layer, ...]:
    """Layers from the (name, kind, ns) of WARM_RUNS and then `runs` inferences, in the order of time.

    Only the latter count. Layers that share a name and a kind are one.
    """
    times: dict[tuple[str, str], list[float]] = {}
    for name, kind, ns in timed:
        times.setdefault((name, kind), []).append(ns)
    warm = {key: len(taken) * WARM_RUNS // (WARM_RUNS + runs) for key, taken in times.items()}
    return tuple(Layer(*key, sum(taken[warm[key] :]) / runs) for key, taken in times.items())


def input_sides(takes: Takes, shape: Shape) -> tuple[int | None, ...]:
    """The four sides of a graph's input: (N, H, W, 3) for frames, (N, 3, H, W) for a tensor."""
    n, h, w = shape
    return (n, 3, h, w) if takes == "tensor" else (n, h, w, 3)


def shape_text(shape: Shape, *, free: bool = True) -> str:
    """(2, None, None) -> "N=2, any H and W". free: name the open sides too."""
    sides = dict(zip("NHW", shape, strict=True))
    fixed = " ".join(f"{name}={side}" for name, side in sides.items() if side is not None)
    others = " and ".join(", ".join(name for name, side in sides.items() if side is None).rsplit(", ", 1))
    return ", ".join(filter(None, (fixed, f"any {others}" if others and free else "")))


class Engine(ABC):
    """One loaded network, for one thread at a time. `infer` is load, enqueue, sync, fetch, which can be timed apart."""

    info: EngineInfo

    def infer(self, frames: U8) -> U8:
        """(N, H, W, 3) u8 BGR -> (N, H, W) u8 labels, host to host, blocking.

        Raises FrameError for frames that this engine doesn't take.
        """
        self.load(frames)
        self.enqueue()
        self.sync()
        return self.fetch()

    def infer_on_device(self, frames: object, labels: object, *, stream: int | None = None) -> None:
        """`infer` in the memory of GPU 0, on arrays of CuPy, PyTorch, Numba, decoders: with `__cuda_array_interface__`,
        or `__dlpack__`.

        frames: (N, H, W, 3) u8 BGR, whose rows may have gaps, or an `Nv12`. labels: (N, H, W) u8, contiguous, written
        to. stream: the handle of the CUDA stream on which both are used; None for the one that they name. The frames
        are read after what it holds, what it gets later comes after the labels are there, and the host doesn't wait,
        except at the first call for a size. Where nobody names a stream, the host waits for the labels; DLPack then
        orders what is pending on its arrays, others must be ready.

        Raises FrameError for what this engine doesn't take, EngineUnavailable where it runs on host memory only.
        """
        raise EngineUnavailable(
            f"{self.info.backend} on {self.info.provider} takes frames in host memory; "
            "trt: takes those that are on a GPU, with a plan from frames to labels"
        )

    def load(self, frames: U8) -> None:
        """Check `frames` and bring them to where the engine reads its input."""
        n, h, w, _ = check_frames(frames).shape
        self._check_sizes((n, h, w))
        self._load(frames)

    def _check_sizes(self, sizes: tuple[int, int, int]) -> None:
        wanted = self.info.shape
        if any(want not in (None, got) for want, got in zip(wanted, sizes, strict=True)):
            raise FrameError(
                f"frames are {shape_text(sizes)}, this engine takes {shape_text(wanted)}; "
                "resize them, or export for that size"
            )

    @abstractmethod
    def _load(self, frames: U8) -> None:
        """Bring checked frames to where the engine reads its input."""

    @abstractmethod
    def enqueue(self) -> None:
        """Start one inference on the loaded frames. May return before it is done."""

    @abstractmethod
    def sync(self) -> None:
        """Wait for what was enqueued."""

    def device_ns(self) -> int:
        """Enqueue one inference on the loaded frames and wait: the device's time, by its own events.

        Raises EngineUnavailable where only the host's clock can measure it.
        """
        raise EngineUnavailable(
            f"{self.info.backend} on {self.info.provider} has no clock of its own: time it at boundary host, not device"
        )

    @abstractmethod
    def fetch(self) -> U8:
        """The labels of the last inference, (N, H, W) u8, in host memory."""

    def logits(self, frames: U8) -> F32 | None:
        """(N, H, W, 3) u8 BGR -> (N, K, H, W) f32, or None where this engine gives labels only."""
        return None

    def profile(self, frames: U8, runs: int) -> tuple[Layer, ...]:
        """The time of each layer, over `runs` inferences on `frames`, of an engine that was opened with profile=True.

        Layers are timed one by one, so their sum is more than an inference takes. Raises EngineUnavailable where
        they can't be timed.
        """
        raise EngineUnavailable(f"{self.info.backend} on {self.info.provider} can't time its layers")

    def close(self) -> None:  # noqa: B027  (most backends have nothing to give back)
        """Give back what the engine holds. Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class GraphEngine(Engine):
    """An exported graph, as its file says: from frames to labels, or from a normalised tensor to logits."""

    _ends: Ends
    _fed: tuple[int, int, int]  # (N, H, W) of the loaded frames

    def load(self, frames: U8) -> None:
        super().load(frames)
        n, h, w, _ = frames.shape
        self._fed = (n, h, w)

    @abstractmethod
    def _output(self) -> Any:
        """What the last inference gave, in host memory; the next one may overwrite it."""

    def _prepared(self, frames: U8) -> U8 | F32:
        """What the graph takes."""
        match self._ends.takes:
            case "tensor":
                return to_tensor(frames, self.info.spec.input)
            case "rgb frames":
                return np.ascontiguousarray(frames[..., ::-1])
        return np.ascontiguousarray(frames)

    def fetch(self) -> U8:
        output = self._output()
        if self._ends.gives == "labels":
            return labels_in(output, self._fed)
        return labels_from_scores(output, self._fed, self.info.spec.classes)

    def logits(self, frames: U8) -> F32 | None:
        if self._ends.gives == "labels":
            return None
        self.load(frames)
        self.enqueue()
        self.sync()
        return np.array(scores_in(self._output(), self._fed, self.info.spec.classes))

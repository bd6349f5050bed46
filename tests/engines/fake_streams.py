"""Streams of others beside the engine's on the faked GPU, and the calls of cuda.bindings.runtime that order them.

As strict as CUDA: an event belongs to a GPU, and so do a stream and memory; rows fit into their pitch and copies into
what was allocated; a stream that is being captured takes no event. Work is done as late as it may, when somebody waits
for its stream, and streams that are waited for by events do first what they can: a missing event shows in the labels.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from cgnet_deploy.pixels import U8

if TYPE_CHECKING:
    from tests.engines.fake_gpu import FakeGpu

OURS = 7  # the engine's
THEIRS, CAPTURED, ELSEWHERE = 100, 101, 102
INVALID_HANDLE = SimpleNamespace(name="cudaErrorInvalidResourceHandle")
INVALID_VALUE = SimpleNamespace(name="cudaErrorInvalidValue")
INVALID_PITCH = SimpleNamespace(name="cudaErrorInvalidPitchValue")
OK = "success"
DEVICE_TO_DEVICE = "device to device"
Work = Callable[[], None]


class Mark:
    """Where an event was recorded."""

    def __init__(self, stream: int) -> None:
        self.stream, self.reached = stream, False

    def reach(self) -> None:
        self.reached = True


class Wait:
    """For a mark of another stream."""

    def __init__(self, streams: Streams, mark: Mark) -> None:
        self.streams, self.mark = streams, mark

    def __call__(self) -> None:
        queue = self.streams.queue(self.mark.stream)
        while not self.mark.reached:
            queue.pop(0)()


class Event:
    mark: Mark | None = None


class Array:
    """(N, H, W, ...) u8 in device memory, rows `gap` bytes further apart than they must. said: of its interface."""

    def __init__(self, gpu: FakeGpu, shape: tuple[int, ...], gap: int = 0, said: dict[str, Any] | None = None) -> None:
        self.gpu, self.shape = gpu, shape
        self.pitch = int(np.prod(shape[2:])) + gap
        self.address = next(gpu.addresses)
        gpu.memory[self.address] = np.zeros(shape[0] * shape[1] * self.pitch, np.uint8)
        self.inner = (shape[3], 1) if len(shape) == 4 else (1,)  # strides within a row
        strides = (shape[1] * self.pitch, self.pitch, *self.inner)
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": "|u1",
            "data": (self.address, False),
            "strides": strides if gap else None,
            "version": 3,
            "stream": THEIRS,
        } | (said or {})

    @property
    def content(self) -> U8:
        """What it holds now, as a view."""
        n, h = self.shape[:2]
        rows = self.gpu.memory[self.address].reshape(n, h, self.pitch)[..., : int(np.prod(self.shape[2:]))]
        view: U8 = np.lib.stride_tricks.as_strided(rows, self.shape, (*rows.strides[:2], *self.inner))
        return view

    def fill(self, values: U8 | int) -> None:
        """When its stream comes to it."""
        self.gpu.streams.queue(THEIRS).append(lambda: np.copyto(self.content, values))


class Streams:
    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu
        self.queues: dict[int, list[Work]] = {1: [], THEIRS: [], CAPTURED: [], ELSEWHERE: []}
        self.on_gpu_1: set[int] = set()  # addresses
        self.events = 0

    def queue(self, handle: int) -> list[Work]:
        return self.gpu.queue if handle == OURS else self.queues[handle]

    def synchronize(self, handle: int) -> None:
        queue = self.queue(handle)
        for work in list(queue):
            if isinstance(work, Wait):
                other = self.queue(work.mark.stream)
                while other and not (isinstance(other[0], Wait) and not other[0].mark.reached):
                    other.pop(0)()
        while queue:
            queue.pop(0)()

    def calls(self) -> dict[str, Any]:
        return {
            "cudaEventDisableTiming": 2,
            "cudaMemcpyKind": SimpleNamespace(cudaMemcpyDeviceToDevice=DEVICE_TO_DEVICE),
            "cudaMemoryType": SimpleNamespace(cudaMemoryTypeDevice=2, cudaMemoryTypeManaged=3),
            "cudaStreamCaptureStatus": SimpleNamespace(cudaStreamCaptureStatusNone=0),
            "cudaEventCreateWithFlags": self.create,
            "cudaEventDestroy": self.destroy,
            "cudaEventRecord": self.record,
            "cudaStreamWaitEvent": self.wait,
            "cudaStreamIsCapturing": lambda stream: (OK, int(stream == CAPTURED)),
            "cudaPointerGetAttributes": self.attributes,
            "cudaMemcpy2DAsync": self.copy_rows,
            "cudaMemcpyAsync": lambda to, source, count, kind, stream: self.copy_rows(
                to, count, source, count, count, 1, kind, stream
            ),
        }

    def create(self, flags: int) -> tuple[str, Event]:
        self.gpu.need_context()
        assert flags == 2, "a clock costs time"
        self.events += 1
        return OK, Event()

    def destroy(self, event: Event) -> tuple[str]:
        self.gpu.need_context()
        self.events -= 1
        return (OK,)

    def record(self, event: Event, stream: int) -> tuple[Any]:
        self.gpu.need_context()
        assert stream != CAPTURED, "an event of a recording outlives it"
        if stream == ELSEWHERE:
            return (INVALID_HANDLE,)
        event.mark = Mark(stream)
        self.queue(stream).append(event.mark.reach)
        return (OK,)

    def wait(self, stream: int, event: Event, flags: int) -> tuple[Any]:
        self.gpu.need_context()
        assert flags == 0
        if event.mark is not None:
            self.queue(stream).append(Wait(self, event.mark))
        return (OK,)

    def attributes(self, pointer: int) -> tuple[str, SimpleNamespace]:
        self.gpu.need_context()
        base = self.base(pointer, 1)
        return OK, SimpleNamespace(type=0 if base is None else 2, device=int(base in self.on_gpu_1))

    def base(self, pointer: int, count: int) -> int | None:
        """Of the allocation that holds these bytes."""
        for base, content in self.gpu.memory.items():
            if base <= pointer and pointer + count <= base + len(content):
                return base
        return None

    def bytes_at(self, first: int, last: int) -> U8:
        base = self.base(first, last - first + 1)
        assert base is not None, "an illegal address"
        return self.gpu.memory[base][first - base : last - base + 1]

    def copy_rows(
        self, to: int, to_pitch: int, source: int, pitch: int, width: int, height: int, kind: str, stream: int
    ) -> tuple[Any]:
        self.gpu.need_context()
        if width > to_pitch or width > pitch:
            return (INVALID_PITCH,)
        ends = [(to, to_pitch * (height - 1) + width), (source, pitch * (height - 1) + width)]
        if kind != DEVICE_TO_DEVICE or any(self.base(*end) is None for end in ends):
            return (INVALID_VALUE,)

        def rows(pointer: int, apart: int) -> U8:
            base = self.base(pointer, 1)
            assert base is not None, "memory was freed before it was read or written"
            view: U8 = np.lib.stride_tricks.as_strided(
                self.gpu.memory[base][pointer - base :], (height, width), (apart, 1)
            )
            return view

        assert stream == OURS, "the engine puts its work on its own stream"
        self.gpu.put(lambda: np.copyto(rows(to, to_pitch), rows(source, pitch)))
        return (OK,)

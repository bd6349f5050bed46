"""What pycuda owns on the faked GPU.

As strict as pycuda: what it owns leaks where another thread lets go of it and the context isn't current there; a
transfer without waiting takes pinned memory, which it doesn't keep; work is put on a stream of ours.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cgnet_deploy.pixels import U8
from tests.engines.fake_streams import OURS
from tests.engines.ptx import Kernel

if TYPE_CHECKING:
    from tests.engines.fake_gpu import FakeGpu

NON_BLOCKING = 1


class Context:
    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu = gpu

    def push(self) -> None:
        self.gpu.contexts += 1

    def pop(self) -> None:
        self.gpu.need_context()
        self.gpu.contexts -= 1


class Owned:
    """What pycuda frees when it is let go of: in the thread that made it, or where the context is current."""

    def __init__(self, gpu: FakeGpu) -> None:
        self.gpu, self.thread = gpu, threading.get_ident()
        gpu.need_context()

    def __del__(self) -> None:
        if threading.get_ident() != self.thread and not self.gpu.contexts:
            self.gpu.leaked.append(type(self).__name__)


class Pinned(Owned):
    """Memory of the host, through NumPy's own interface: an array on it keeps it."""

    def __init__(self, gpu: FakeGpu, shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__(gpu)
        assert min(shape) >= 0, f"{shape} is no shape yet"
        self.content = np.empty(shape, dtype)
        self.__array_interface__ = self.content.__array_interface__


def still_there(host: npt.NDArray[Any]) -> Callable[[], U8]:
    """The bytes of a pinned array, when they are asked for: a transfer does not keep what it reads."""
    owner: object = host.base
    assert isinstance(owner, Pinned), "only pinned memory is copied without waiting"
    assert host.flags.c_contiguous
    block = weakref.ref(owner)

    def content() -> U8:
        pinned = block()
        assert pinned is not None, "the pinned memory was freed before the transfer"
        array: U8 = pinned.content.reshape(-1).view(np.uint8)
        return array

    return content


class Stream(Owned):
    handle = OURS

    def __init__(self, gpu: FakeGpu, flags: int) -> None:
        super().__init__(gpu)
        assert flags in (0, NON_BLOCKING), "cuStreamCreate knows no such flag"
        gpu.stream_flags.append(flags)

    def check(self) -> None:
        """That work may be put on it."""
        self.gpu.need_context()

    def synchronize(self) -> None:
        self.gpu.drain()


class Event(Owned):
    def __init__(self, gpu: FakeGpu) -> None:
        super().__init__(gpu)
        self.reached = True

    def record(self, stream: Stream) -> None:
        stream.check()
        self.reached = False
        self.gpu.put(self.reach)
        self.mark = self.gpu.queue[-1]

    def reach(self) -> None:
        self.reached, self.inferences = True, self.gpu.inferences

    def synchronize(self) -> None:
        self.gpu.not_recorded("waiting")
        if not self.reached:
            self.gpu.drain(self.gpu.queue.index(self.mark) + 1)

    def time_since(self, start: Event) -> float:
        """Milliseconds: a quarter for every inference between the two."""
        assert start.reached
        assert self.reached
        return (self.inferences - start.inferences) / 4


class Memory(Owned):
    def __init__(self, gpu: FakeGpu, address: int) -> None:
        super().__init__(gpu)
        self.address = address

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        self.gpu.not_recorded("freeing")
        del self.gpu.memory[self.address]


class Module(Owned):
    """Of PTX, which ends with a zero."""

    def __init__(self, gpu: FakeGpu, text: bytes) -> None:
        super().__init__(gpu)
        gpu.not_recorded("loading a module")
        assert text.endswith(b"\0")
        self.text = text[:-1].decode("ascii")

    def get_function(self, name: str) -> Function:
        return Function(self.gpu, Kernel(self.text, name))


class Function(Owned):
    def __init__(self, gpu: FakeGpu, kernel: Kernel) -> None:
        super().__init__(gpu)
        self.kernel, self.letters = kernel, ""

    def prepare(self, letters: str) -> None:
        self.letters = letters

    def prepared_async_call(
        self, grid: tuple[int, int], block: tuple[int, int, int], stream: Stream, *values: int
    ) -> None:
        stream.check()
        given = self.kernel.packed(self.letters, values)
        self.gpu.put(lambda: self.kernel.run(grid, block, given, self.gpu.streams))

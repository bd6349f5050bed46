"""An array of the faked GPU by DLPack, in real capsules, as PyTorch and CuPy hand them out.

As strict as the protocol: a capsule is taken once, its struct given back once, by a call of its deleter and before
anybody lets go of the producer; stream 0 is ambiguous; what is pending comes before what the consumer's stream gets.
"""

from __future__ import annotations

import ctypes
from typing import Any

from cgnet_deploy.engines import dlpack
from tests.engines.fake_gpu import FakeGpu
from tests.engines.fake_streams import ELSEWHERE, THEIRS, Array, Event

_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)


class Lender(Array):
    """(N, H, W, ...) u8. said: fields of the struct that differ, `sides` the shape. old: as before DLPack 1."""

    def __init__(self, gpu: FakeGpu, shape: tuple[int, ...], gap: int = 0, *, old: bool = False, **said: Any) -> None:
        super().__init__(gpu, shape, gap)
        strides = self.__cuda_array_interface__["strides"]
        del self.__cuda_array_interface__
        self.old, self.taken, self.given_back = old, 0, 0
        self.device: tuple[int, int] = said.pop("dlpack_device", (dlpack.CUDA, 0))
        sides = ctypes.c_int64 * len(shape)
        managed: Any = dlpack.LAYOUTS[old][2]()
        if not old:
            managed.major, managed.flags = said.pop("major", 1), said.pop("flags", 0)
        managed.deleter = dlpack.DELETER(self._deleted)
        tensor = managed.tensor
        tensor.data, tensor.device_type, tensor.ndim = self.address, dlpack.CUDA, len(shape)
        tensor.code, tensor.bits, tensor.lanes = dlpack.UNSIGNED, 8, 1
        tensor.shape = sides(*said.pop("sides", shape))
        if strides := said.pop("strides", strides):
            tensor.strides = sides(*strides)
        for field, value in said.items():
            setattr(tensor, field, value)
        self.managed = managed

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int, **new: Any) -> Any:
        if self.old and new:
            raise TypeError("unexpected keyword argument 'max_version'")
        if not self.old:
            assert new == {"max_version": (1, 0), "copy": False}
        assert stream != 0, "0 is ambiguous"
        if stream == ELSEWHERE:
            raise BufferError("that stream is not of this device\nand more")
        if stream != THEIRS:
            streams, event = self.gpu.streams, Event()
            streams.record(event, THEIRS)
            streams.wait(stream, event, 0)
        self.taken += 1
        return _new(ctypes.addressof(self.managed), dlpack.LAYOUTS[self.old][0], None)

    def _deleted(self, struct: int) -> None:
        assert struct == ctypes.addressof(self.managed)
        self.given_back += 1

"""An array's memory by DLPack: what `thing.__dlpack__()` hands over, read by ctypes, and given back when it was used.

A capsule holds a struct of DLPack 1 ("dltensor_versioned") or of the releases before ("dltensor"). Whoever takes it
renames the capsule and calls the struct's deleter once. Strides count elements; none means no gaps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cgnet_deploy.engines.gpu import GPU
from cgnet_deploy.errors import FrameError, one_line

VERSION = (1, 0)  # the newest layout that is read here; others of major version 1 are the same
CUDA, MANAGED = 2, 13  # kDLCUDA, kDLCUDAManaged
UNSIGNED = 1  # kDLUInt
READ_ONLY, COPIED = 1, 2  # flags


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", DELETER))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


# name of the capsule -> its name once it was taken, which CPython keeps a pointer to, and its struct
LAYOUTS: tuple[tuple[bytes, bytes, type[ctypes.Structure]], ...] = (
    (b"dltensor_versioned", b"used_dltensor_versioned", _Versioned),
    (b"dltensor", b"used_dltensor", _Managed),
)

_api = ctypes.pythonapi
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", _api))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", _api))
_rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_SetName", _api))


@dataclass(frozen=True, slots=True)
class Lent:
    """u8 on a GPU. strides: bytes."""

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    readonly: bool


@contextmanager
def lent(name: str, thing: Any, stream: int) -> Iterator[Lent]:
    """The memory of `thing`, whose pending work comes before what `stream`, a handle, gets from now on.

    Raises FrameError, which calls it `name`, for what isn't u8 on a GPU, or can't be lent as it lies.
    """
    kind, device = thing.__dlpack_device__()
    if kind not in (CUDA, MANAGED):
        raise FrameError(f"{name} are a {type(thing).__name__} of DLPack's device {kind}; wanted {CUDA}, CUDA's memory")
    if kind == CUDA and device != GPU:
        raise FrameError(f"{name} are on GPU {device}, the engine is on GPU {GPU}")
    try:
        try:
            capsule = thing.__dlpack__(stream=stream, max_version=VERSION, copy=False)
        except TypeError:  # of the releases before 1
            capsule = thing.__dlpack__(stream=stream)
    except Exception as error:
        raise FrameError(f"{name} can't be lent by DLPack: {one_line(error)}") from error
    used, layout = next(
        ((used, layout) for fresh, used, layout in LAYOUTS if _is_valid(capsule, fresh)), (None, _Managed)
    )
    if used is None:
        raise FrameError(f"{name} came as a {type(capsule).__name__} that is no DLPack capsule, or was taken before")
    struct = layout.from_address(_pointer(capsule, used.removeprefix(b"used_")))
    _rename(capsule, used)
    try:
        yield _read(name, struct)
    finally:
        if struct.deleter:
            struct.deleter(ctypes.addressof(struct))


def _read(name: str, struct: Any) -> Lent:
    if getattr(struct, "major", VERSION[0]) != VERSION[0]:
        raise FrameError(f"{name} came by DLPack {struct.major}, which is not known here; wanted {VERSION[0]}")
    flags, tensor = getattr(struct, "flags", 0), struct.tensor
    if (tensor.code, tensor.bits, tensor.lanes) != (UNSIGNED, 8, 1):
        raise FrameError(
            f"{name} are of DLPack's type {tensor.code} with {tensor.bits} bits and {tensor.lanes} lanes; "
            f"wanted {UNSIGNED} with 8 and 1, bytes"
        )
    if flags & COPIED:
        raise FrameError(f"{name} came as a copy; wanted the memory itself")
    sides = range(tensor.ndim)
    shape = tuple(tensor.shape[i] for i in sides)
    strides = tuple(tensor.strides[i] for i in sides) if tensor.strides else None
    return Lent((tensor.data or 0) + tensor.byte_offset, shape, strides, bool(flags & READ_ONLY))

"""One launch of one kernel: a value that can be run, counted, compiled ahead of time, and checked by plain torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Constant = int | bool | str


@dataclass(frozen=True, slots=True)
class Tile:
    """What one program of a kernel computes, rows x cols output pixels, and what it gets: warps of 32 threads, and the
    depth of the pipeline that brings operands into shared memory."""

    rows: int
    cols: int
    warps: int
    stages: int = 3

    @property
    def pixels(self) -> int:
        return self.rows * self.cols


@dataclass(frozen=True, slots=True)
class Launch:
    """kernel: what triton.jit gives. arguments, constants: by the names of its parameters.

    reads, writes: the names of those that are maps of activations, each moved once; what else there is, weights and
    what a tile has beyond its borders, is expected to stay in caches. reference: writes by plain torch, in the
    buffers' own type, what the kernel writes.
    """

    name: str
    kernel: Any
    grid: tuple[int, int, int]
    tile: Tile
    arguments: Mapping[str, Tensor | int | float]
    constants: Mapping[str, Constant]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    reference: Callable[[], None]

    def run(self) -> None:
        """Start it on torch's current stream."""
        self.kernel[self.grid](**self.arguments, **self.constants, **self.options())

    def options(self) -> dict[str, int | bool]:
        """The compiler's options. Fusing a product and a sum is asked for: Triton's default is about to change."""
        return {"num_warps": self.tile.warps, "num_stages": self.tile.stages, "enable_fp_fusion": True}

    def bytes_read(self) -> int:
        return sum(self._bytes(name) for name in self.reads)

    def bytes_written(self) -> int:
        return sum(self._bytes(name) for name in self.writes)

    def _bytes(self, name: str) -> int:
        value = self.arguments[name]
        return value.nbytes if isinstance(value, Tensor) else 0


def precision(dtype: torch.dtype) -> str:
    """How a matrix product takes f32: as three products of TF32, which keep its 24 bits. f16 is taken as it is."""
    return "tf32x3" if dtype == torch.float32 else "ieee"


def chunk(channels: int, dtype: torch.dtype) -> int:
    """How many of `channels` one matrix product sums over. f32 is split in two parts: twice the registers."""
    return min(channels, 32 if dtype == torch.float32 else 64)


def tiles(height: int, width: int, tile: Tile) -> tuple[int, int]:
    """(how many in all, how many side by side) cover a map of that size."""
    across = -(-width // tile.cols)
    return -(-height // tile.rows) * across, across

"""What a time is compared with: the least bytes that the network must move, at the rate at which this GPU copies."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.bench.tools.floor import Fusion, floor_bytes
from cgnet_deploy.bench.tools.gpu.contenders import Cell, Contender
from cgnet_deploy.errors import CgnetError, require
from cgnet_deploy.spec import Precision

OUR_KERNELS = "fast.engine"  # the module of the backends that run them
VALUE_BYTES = {Precision.F32: 4, Precision.F16: 2, Precision.INT8: 1}


@dataclass(frozen=True, slots=True)
class Ideal:
    """classes, blocks: of the network that runs. bytes_per_s: of a copy, read and written; None if not measured."""

    classes: int
    blocks: tuple[int, int]
    bytes_per_s: float | None

    @classmethod
    def of(cls, ckpt: Path, bytes_per_s: float | None) -> Ideal:
        """Of a checkpoint. Raises what reading it raises."""
        require("torch", extra="export")
        from cgnet_deploy.checkpoint.reading import load_checkpoint

        checkpoint = load_checkpoint(ckpt)
        return cls(checkpoint.spec.classes, checkpoint.model.blocks, bytes_per_s)

    def judge(self, p50_ms: float, who: Contender, cell: Cell) -> dict[str, float]:
        """floor: plain fusion, labels out. least: the best schedule known. moved: what our own kernels move.

        Bytes, and where the rate of a copy is known: the times that they would take, and what share of that rate the
        p50 makes of them. Weights, and whatever a cache saves, are left out of all three.
        """
        each = VALUE_BYTES[who.precision]
        floors: tuple[tuple[str, Fusion], ...] = (("floor_bytes", "producers"), ("least_bytes", "twice"))
        figures: dict[str, float] = {
            name: float(floor_bytes(fusion, cell.res, self.classes, each, batch=cell.batch, blocks=self.blocks))
            for name, fusion in floors
        }
        if who.backend.runtime.module == OUR_KERNELS and (moved := self._moved(who, cell)) is not None:
            figures["moved_bytes"] = moved
        if self.bytes_per_s:
            for name in ("floor", "least"):
                figures[f"{name}_ms"] = figures[f"{name}_bytes"] / self.bytes_per_s * 1e3
            for name in ("floor", "moved"):
                if f"{name}_bytes" in figures:
                    figures[f"{name}_share_of_copy"] = figures[f"{name}_bytes"] / (p50_ms / 1e3) / self.bytes_per_s
        return figures

    def _moved(self, who: Contender, cell: Cell) -> float | None:
        """Bytes that our own kernels read and write in one run, by their own account; None where they give none."""
        try:
            compile_, traffic = (
                importlib.import_module(f"cgnet_deploy.engines.fast.{name}") for name in ("compile", "traffic")
            )
            network = compile_.network_of(cell.res, who.precision, classes=self.classes, batch=cell.batch)
            return float(sum(kernel.nbytes for kernel in traffic.traffic(network)))
        except (ImportError, CgnetError):
            return None

"""Machines whose every time is made up: engines that answer as a bench's engine process does, without a runtime.

A machine is a table: `backend:file` -> the p50 in ms, or how the engine goes wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from cgnet_deploy.artifact import write_artifact
from cgnet_deploy.bench.accuracy.scores import Accuracy
from cgnet_deploy.bench.measure.latency import Round, Warmed
from cgnet_deploy.bench.measure.opening import Opened
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.errors import CgnetError, EngineUnavailable
from cgnet_deploy.spec import Precision, Res

SPEC = model_spec("camvid-official", 11, (3, 21))
RES = Res(32, 48)
Table = Mapping[str, float | str]

# What `docs/tune.md` tells of: a CPU without VNNI, where int8 loses, and one with it.
AVX2: Table = {
    "ort:ort-cpu-f32.onnx": 71.0,
    "ort:ort-cpu-f32-unpruned.onnx": 89.0,
    "ort:ort-cpu-int8-most.onnx": 118.0,
    "openvino:openvino-f32.onnx": 66.0,
    "openvino:openvino-f32-unpruned.onnx": 88.0,
    "openvino:openvino-int8-most.onnx": 76.0,
    "openvino:openvino-int8-all.onnx": 80.0,
    "openvino:openvino-int8-stored.onnx": 79.0,
}
VNNI: Table = {
    "ort:ort-cpu-f32.onnx": 24.5,
    "ort:ort-cpu-f32-unpruned.onnx": 27.4,
    "ort:ort-cpu-int8-most.onnx": 25.0,
    "openvino:openvino-f32.onnx": 22.3,
    "openvino:openvino-f32-unpruned.onnx": 26.6,
    "openvino:openvino-int8-most.onnx": 12.0,
    "openvino:openvino-int8-all.onnx": 11.0,
    "openvino:openvino-int8-stored.onnx": 9.0,
}
# Points of mIoU below PyTorch, by a part of a file's name.
DROPS = {"int8-most": 0.05, "int8-all": 0.25, "int8-stored": 0.5}
PEERS_MS = {"torch": 150.0, "ort:torch.onnx.export.onnx": 120.0, "openvino:torch.onnx.export.onnx": 110.0}


def confusion(drop: float) -> Confusion:
    """Of 11 classes; its mIoU lies so many points below 100 %."""
    counts = np.zeros((11, 11), np.int64)
    counts[range(11), range(11)] = 1_000_000
    counts[0, 0] -= (wrong := round(1_000_000 * 11 * drop / 100 / 2))  # its class loses, and so does the other
    counts[0, 1] += wrong
    return Confusion(counts)


@dataclass
class Machine:
    """times: the table. asked: what engines were asked, in order: `(backend:file, method)`.

    interrupt: raise KeyboardInterrupt when this engine is first timed.
    """

    times: Table
    drops: Mapping[str, float] = field(default_factory=lambda: DROPS)
    asked: list[tuple[str, str]] = field(default_factory=list)
    interrupt: str = ""

    def start(self, ref: str, threads: int) -> Any:
        """As `StartProcess`."""
        return FakeProcess(self, ref)

    def tried(self, method: str) -> list[str]:
        return [name for name, asked in self.asked if asked == method]


class FakeProcess:
    """As `EngineProcess`. Each time is 1 % off at most, in turn."""

    def __init__(self, machine: Machine, ref: str) -> None:
        self.machine, self.process = machine, self
        backend, _, path = ref.partition(":")
        self.path = Path(path)
        self.name = "torch" if backend == "torch" else f"{backend}:{self.path.name}"
        self.does = {**PEERS_MS, **machine.times}.get(self.name, "crashes")
        self.rounds = 0

    def ask(self, wanted: type, method: str, *args: Any, **more: Any) -> Any:
        self.machine.asked.append((self.name, method))
        if method == "open" and self.does == "is not for this machine":
            raise EngineUnavailable(f"{self.name} is not for this machine")
        if (method, self.does) in {("first", "crashes"), ("measure", "runs out of memory"), ("measure", "hangs")}:
            raise CgnetError(f"{self.name}: its process {self.does}")
        return getattr(self, method)(*args)

    def open(self, request: Any) -> Opened:
        kind = next((kind for kind in ("int8", "f16") if kind in self.name), "f32")
        return Opened("fake", "CPU", Precision(kind), "0" * 64, SPEC.class_names, RES, 1, 1000, 0, 0, ())

    def first(self, frames: str) -> int:
        return 1

    def labels(self, frames: str) -> Any:
        return np.full((1, *RES), self.does == "gives wrong labels", np.uint8)

    def warm(self, *args: Any) -> Warmed:
        if self.machine.interrupt == self.name:
            raise KeyboardInterrupt
        return Warmed(3, 1, settled=True)

    def measure(self, *args: Any) -> Round:
        ms = self.does if isinstance(self.does, float) else 1.0  # what goes wrong would be the fastest
        self.rounds += 1
        ns = round(ms * 1e6 * (1 + 0.01 * (self.rounds % 3 - 1)))
        return Round((ns,) * 3, 3 * ns)

    def peak_memory_mib(self) -> float:
        return 1.0

    def follow(self, wanted: type, method: str, *args: Any) -> Iterator[Accuracy]:
        self.machine.asked.append((self.name, method))
        yield Accuracy(confusion(next((drop for part, drop in self.machine.drops.items() if part in self.name), 0.0)))

    def kill(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def export_nothing(words: Any) -> Any:
    """In the place of `export_as`: an artifact without a network in it, with something pruned."""
    plan = "--engine" in words
    path = Path(words[words.index("--engine" if plan else "--onnx") + 1])
    write_artifact(
        path,
        b"",
        kind="plan" if plan else "onnx",
        precision=Precision.INT8 if "--int8" in words else Precision.F32,
        spec=SPEC,
        io="frames",
        shape=(1, *RES),
        parent_sha256="0" * 64,
        made_with={"name": path.name},
    )
    return Pruned()


class Pruned:
    """As `Exported`, as far as cgnet-tune asks."""

    pruning = None

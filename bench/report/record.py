"""One row of a benchmark: what ran, and the raw counts and samples. Whatever can be derived is a property."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from cgnet_deploy.bench.accuracy.agreement import Agreement
from cgnet_deploy.bench.accuracy.outlines import Outlines
from cgnet_deploy.bench.machine.conditions import Conditions
from cgnet_deploy.bench.measure.latency import Boundary, Round
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.engines.base import Layer
from cgnet_deploy.spec import Precision, Res
from cgnet_deploy.stats import LatencyMs, variation


@dataclass(frozen=True, slots=True)
class ColdStart:
    """How long a fresh process waits, in nanoseconds, for its engine's runtime, for the file, for the first labels.

    load_ns: to read, build or compile the file. first_ns: of the first inference, frame to labels.
    """

    libraries_ns: int
    load_ns: int
    first_ns: int


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a benchmark: an engine at one size, batch and boundary.

    engine: as the user named it. sha256: of the file that was timed and scored.

    rounds: in the order taken, the engines of a run taking turns. settled: did the first warm-up end in windows
    that agree? images: how many were scored, 0 without data; confusion, outlines, agreement (with the
    first engine of the run), views (confusion of ms+flip) and profile (layers, timed in a process of their own, on
    the same frames): None where they weren't asked for. device_memory_mib: by how much the use of the GPU's memory
    grew while this engine was loaded and warmed up; None where there is no GPU.
    assumed: of a file from outside, what neither it nor the user says.
    """

    engine: str
    backend: str
    provider: str
    precision: Precision
    sha256: str
    res: Res
    batch: int
    boundary: Boundary
    rounds: tuple[Round, ...]
    settled: bool
    peak_memory_mib: float
    class_names: tuple[str, ...]
    images: int
    confusion: Confusion | None
    outlines: Outlines | None
    agreement: Agreement | None
    file_bytes: int
    cold: ColdStart
    device_memory_mib: float | None
    conditions: Conditions
    views: Confusion | None
    profile: tuple[Layer, ...] | None
    assumed: tuple[str, ...] = ()

    @property
    def samples_ns(self) -> tuple[int, ...]:
        """All samples in the order taken, each the time of one batch in ns."""
        return tuple(sample for taken in self.rounds for sample in taken.samples_ns)

    @property
    def latency_ms(self) -> LatencyMs:
        """Of one batch."""
        return LatencyMs.of(self.samples_ns)

    @property
    def p50_ms_by_round(self) -> tuple[float, ...]:
        """What two runs are compared by: it shows how far the rounds of one run lie apart."""
        return tuple(LatencyMs.of(taken.samples_ns).p50 for taken in self.rounds)

    @property
    def variation(self) -> float:
        """The coefficient of variation of the samples."""
        return variation(self.samples_ns)

    @property
    def throughput_fps(self) -> float:
        """Frames over the true time that the rounds took, the gaps between samples included."""
        return self.batch * len(self.samples_ns) * 1e9 / sum(taken.window_ns for taken in self.rounds)

    @property
    def miou(self) -> float | None:
        """0 to 1; None where nothing was scored."""
        return known(self.confusion.miou) if self.confusion else None

    @property
    def miou_views(self) -> float | None:
        """Of ms+flip, 0 to 1; None where it wasn't asked for."""
        return known(self.views.miou) if self.views else None

    @property
    def joules_per_frame(self) -> dict[str, float | None]:
        """Of the CPU's packages, the GPU, the board; None for what the machine doesn't report."""
        frames = self.batch * len(self.samples_ns)
        used = asdict(self.conditions.joules)
        return {name: None if joules is None else joules / frames for name, joules in used.items()}

    @property
    def pixel_accuracy(self) -> float | None:
        """0 to 1; None where nothing was scored."""
        return known(self.confusion.pixel_accuracy) if self.confusion else None

    @property
    def boundary_f(self) -> float | None:
        """0 to 1; None where outlines weren't scored."""
        return known(self.outlines.mean_f) if self.outlines else None

    @property
    def iou(self) -> dict[str, float | None]:
        """Of each class, 0 to 1; None for a class that occurs nowhere. Empty without data."""
        if self.confusion is None:
            return {}
        return dict(zip(self.class_names, map(known, self.confusion.iou.tolist()), strict=True))


def known(value: float) -> float | None:
    return None if math.isnan(value) else value

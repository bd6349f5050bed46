"""One row of a benchmark: what ran, and the raw counts and samples. Whatever can be derived is a property."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cgnet_deploy.bench.latency import Boundary, Round
from cgnet_deploy.bench.stats import LatencyMs, variation
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.spec import Precision, Res


@dataclass(frozen=True, slots=True)
class Record:
    """engine: as the user named it. sha256: of the file that was timed and scored.

    rounds: in the order taken, the engines of a run taking turns. settled: did the first warm-up end in windows
    that agree? confusion: None where no data was given; images: how many it covers.
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
    confusion: Confusion | None
    images: int

    @property
    def samples_ns(self) -> tuple[int, ...]:
        return tuple(sample for taken in self.rounds for sample in taken.samples_ns)

    @property
    def latency_ms(self) -> LatencyMs:
        """Of a whole batch."""
        return LatencyMs.of(self.samples_ns)

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
        if self.confusion is None or math.isnan(self.confusion.miou):
            return None
        return self.confusion.miou

    @property
    def iou(self) -> dict[str, float | None]:
        """Of each class, 0 to 1; None for a class that occurs nowhere. Empty where no data was given."""
        if self.confusion is None:
            return {}
        values = (None if math.isnan(value) else float(value) for value in self.confusion.iou)
        return dict(zip(self.class_names, values, strict=True))

"""What to measure."""

from __future__ import annotations

from dataclasses import dataclass

from cgnet_deploy.bench.measure.latency import Boundary
from cgnet_deploy.engines.request import NO_HINTS, Hints
from cgnet_deploy.spec import Res


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure. res, batch: None for the engines' own. data: None for latency on drawn frames only.

    least_s, least_samples: of each engine at each boundary, all rounds together. limit: images scored at
    most. outlines: score boundaries too. views: score ms+flip too. profile: time layers too. fps: of the boundary
    `paced`. hints: of files from outside. cache: start with what an earlier start compiled.
    """

    engines: tuple[str, ...]
    boundaries: tuple[Boundary, ...]
    threads: int
    res: Res | None = None
    batch: int | None = None
    fps: float | None = None
    data: str | None = None
    split: str = "val"
    limit: int | None = None
    outlines: bool = False
    views: bool = False
    profile: bool = False
    warmup_ms: float = 200.0
    least_s: float = 3.0
    least_samples: int = 100
    hints: Hints = NO_HINTS
    cache: bool = False

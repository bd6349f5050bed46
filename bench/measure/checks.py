"""Arguments of a measurement that make no sense, refused before any work. Messages name the flag of the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cgnet_deploy.bench.measure.latency import BOUNDARIES
from cgnet_deploy.errors import UsageError


def check_boundaries(boundaries: Sequence[str], fps: float | None) -> None:
    """Raise UsageError for one that isn't known, for none, and for `paced` without its frames per second."""
    if wrong := [boundary for boundary in boundaries if boundary not in BOUNDARIES]:
        raise UsageError(f"--boundary {wrong[0]}: must be one of {', '.join(BOUNDARIES)}")
    if not boundaries:
        raise UsageError("no boundary to measure at")
    if ("paced" in boundaries) != (fps is not None):
        raise UsageError("--boundary paced and --fps go together: one says what to pace, the other how fast")


def check_least(options: Mapping[str, tuple[float | None, float]]) -> None:
    """Raise UsageError for a value below its least, NaN too. options: flag -> (value, None if not given; the least)."""
    for option, (value, least) in options.items():
        if value is not None and not value >= least:
            raise UsageError(f"{option} {value}: must be at least {least}")

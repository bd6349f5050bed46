"""How an export goes to int8: which convolutions, and their ranges from calibration frames or from an earlier run."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from cgnet_deploy.checkpoint.reading import Checkpoint
from cgnet_deploy.errors import ArtifactError, UsageError
from cgnet_deploy.export.calibrate import calibrate, rounding_bias
from cgnet_deploy.export.calibration_data import CalibrationFrames
from cgnet_deploy.export.choices import Method, Scope
from cgnet_deploy.export.distill import crops, distill, recipe
from cgnet_deploy.export.graph import serialise
from cgnet_deploy.export.lower import Lowering
from cgnet_deploy.export.ranges_file import Origin, Ranges, check_origin, hash_of, read_ranges, write_ranges
from cgnet_deploy.export.raw_results import without_costly
from cgnet_deploy.export.sites import chosen, sites
from cgnet_deploy.export.targets import Target
from cgnet_deploy.progress import track
from cgnet_deploy.spec import InputSpec, Precision

log = logging.getLogger(__name__)

BIAS_FRAMES = 16  # of the calibration frames: a mean over their pixels is known well by then


@dataclass(frozen=True, slots=True)
class Int8:
    """How to quantise. frames: to calibrate on, None to take the ranges of `cache`, a file. exclude: see `chosen`.

    distill: steps of training on the frames, see distill.py.
    """

    frames: CalibrationFrames | None
    method: Method = "mse"
    scope: Scope = "most"
    exclude: str | None = None
    cache: Path | None = None
    distill: int = 0


def int8_lowering(tensor_graph: ir.Model, checkpoint: Checkpoint, target: Target, int8: Int8, batch: int) -> Lowering:
    """Which convolutions of a fused graph become int8, with their ranges."""
    every = sites(tensor_graph)
    lowering = Lowering(
        Precision.INT8,
        chosen(tensor_graph, int8.scope, int8.exclude, target.keeps),
        sum(site.macs for site in every),
        storage=target.storage,
        raw_results=target.raw_results,
        trunk=int8.scope == "stored",
        fallback_precision=target.fallback_precision,
    )
    origin = Origin(
        checkpoint.sha256,
        hashlib.sha256(serialise(tensor_graph)).hexdigest(),
        hash_of(int8.frames) if int8.frames else "",
        len(int8.frames or ()),
        int8.method,
        recipe(lowering, int8.distill) if int8.distill else "",
    )
    cache = int8.cache
    if cache is not None and (cache.exists() or int8.frames is None):
        return lowering.calibrated(_cached(cache, origin, {site.name for site in every}))
    ranges = _measured(tensor_graph, checkpoint.spec.input, int8, lowering, origin, batch)
    if cache is not None:
        write_ranges(cache, ranges)
    return lowering.calibrated(ranges)


def _cached(cache: Path, origin: Origin, convs: set[str]) -> Ranges:
    ranges = read_ranges(cache)
    check_origin(cache, ranges.origin, origin)
    if not set(ranges.scales.reads) == set(ranges.bias) == convs:
        raise ArtifactError(f"{cache} lacks ranges of some convolutions: remove it to calibrate again")
    log.info(f"ranges of {ranges.origin.summary()} from {cache}")
    return ranges


def _measured(
    tensor_graph: ir.Model, spec: InputSpec, int8: Int8, lowering: Lowering, origin: Origin, batch: int
) -> Ranges:
    """The ranges of every convolution, whichever of them int8 takes: a cache then serves any choice."""
    frames = int8.frames
    if frames is None:
        raise UsageError("int8 needs frames to calibrate on, or the ranges of an earlier run")
    every = sites(tensor_graph)
    batches = track(frames.batches(batch, spec), -(-len(frames) // batch), "calibrating")
    scales = calibrate(
        tensor_graph, [site.name for site in every], batches, int8.method, raw_results=lowering.raw_results
    )
    stride = max(len(frames) // BIAS_FRAMES, 1)
    bias = rounding_bias(tensor_graph, scales.reads, frames.batches(batch, spec, stride))
    ranges = Ranges(origin, scales, bias)
    if lowering.raw_results:
        ranges = without_costly(tensor_graph, replace(lowering, sites=every, ranges=ranges), crops(frames, spec))
    if int8.distill:
        ranges = distill(tensor_graph, lowering.calibrated(ranges), frames, spec, int8.distill)
    return ranges

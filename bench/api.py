"""Benchmark from Python: latency and mIoU of engines, each in a process of its own, all in one run.

    import cgnet_deploy as cg

    records = cg.benchmark(["model.pth", "cgnet.onnx"], data="camvid", limit=20)
    for record in records:
        print(record.engine, record.latency_ms.p50, record.miou)

`cgnet-bench` is the flags of this one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cgnet_deploy.bench.accuracy.gallery import Gallery
from cgnet_deploy.bench.machine.environment import Environment, describe
from cgnet_deploy.bench.measure.checks import check_boundaries, check_least
from cgnet_deploy.bench.measure.latency import Boundary
from cgnet_deploy.bench.measure.settings import Settings
from cgnet_deploy.bench.measure.sweep import Grid, sweep
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.engines.request import Hints
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Color, Res, Triple
from cgnet_deploy.threads import cores


def benchmark(
    engines: str | Path | Sequence[str | Path],
    *,
    res: Res | str | Sequence[Res | str] | None = None,
    batch: int | Sequence[int] | None = None,
    boundaries: Boundary | Sequence[Boundary] = "e2e",
    threads: int | None = None,
    fps: float | None = None,
    data: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    outlines: bool = False,
    ms_flip: bool = False,
    profile: bool = False,
    warmup_ms: float = 200.0,
    duration_s: float = 3.0,
    iterations: int = 100,
    contract: str | None = None,
    names: str | Path | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
    color: Color | None = None,
    trust: bool = False,
    weights: str | None = None,
    cache: bool = False,
    jsonl: str | Path | None = None,
    environment: Environment | None = None,
    show: Callable[[Gallery], None] | None = None,
) -> tuple[Record, ...]:
    """Measure engines in turn, so that a machine that slows down slows them all. One record an engine and boundary.

    engines        files as `open_engine` takes them: "model.pth", "cgnet.onnx", "openvino:cgnet.onnx", "cgnet.plan"
    res, batch     of the frames; default: the engines' own, and 1. Of several each combination is measured
    boundaries     what a sample spans: "e2e" from u8 frame to u8 labels in host memory, "host" from submit to
                   synchronised, "device" by the GPU's own events, "paced" as e2e at `fps` frames per second
    threads        CPU threads of each engine; default: the cores that may be used
    data, split, limit    labelled frames for the mIoU, on at most so many of them; without, only latency is measured
    outlines       score outlines too (boundary F-score)
    ms_flip        score mIoU (ms+flip) too: 12 views of each image
    profile        time each layer too, in a process of its own
    warmup_ms, duration_s, iterations    of each engine at each boundary: warm-up at least, samples at least
    contract       input contract of an engine that has none of its own
    names, mean, std, color, trust    of files from elsewhere, which don't say it: see `open_engine`
    weights        of checkpoints with several sets: see `load_checkpoint`
    cache          start with what an earlier start compiled: see `open_engine`; only the cold start differs
    jsonl          a file to append each record to; those that are in it already, of the same files, options and
                   machine, are not measured again
    environment    what to store beside the records in `jsonl`; default: this machine, now
    show           is called with pictures of what was scored

    Raises UsageError for options that don't go together, and whatever an engine's process met: ArtifactError,
    EngineUnavailable, DataError, CgnetError for one that crashed.
    """
    refs = [engines] if isinstance(engines, (str, Path)) else engines
    if not refs:
        raise UsageError("no engine to measure")
    spans: Sequence[Boundary] = [boundaries] if isinstance(boundaries, str) else boundaries
    check_boundaries(spans, fps)
    check_least(
        {
            "--threads": (threads, 1),
            "--fps": (fps, 0.001),
            "--limit": (limit, 1),
            "--warmup": (warmup_ms, 0),
            "--duration": (duration_s, 0),
            "--iterations": (iterations, 1),
        }
    )
    needs_data = {
        "--split": split is not None,
        "--limit": limit is not None,
        "--outlines": outlines,
        "--ms-flip": ms_flip,
    }
    for option, used in needs_data.items():
        if used and data is None:
            raise UsageError(f"{option} needs --data")
    settings = Settings(
        engines=tuple(map(str, refs)),
        boundaries=tuple(dict.fromkeys(spans)),
        threads=threads or cores(),
        fps=fps,
        data=None if data is None else str(data),
        split=split or "val",
        limit=limit,
        outlines=outlines,
        views=ms_flip,
        profile=profile,
        warmup_ms=warmup_ms,
        least_s=duration_s,
        least_samples=iterations,
        hints=Hints.of(contract, names, mean, std, color, trust, weights),
        cache=cache,
    )
    grid = Grid(_sizes(res), _batches(batch), None if jsonl is None else Path(jsonl))
    return sweep(settings, grid, environment or describe(settings.threads, ()), show)


def _sizes(res: Res | str | Sequence[Res | str] | None) -> tuple[Res | None, ...]:
    """Each size once; one None if there is none."""
    values = [] if res is None else [res] if isinstance(res, (str, Res)) else res
    return tuple(dict.fromkeys(Res.of(value) for value in values)) or (None,)


def _batches(batch: int | Sequence[int] | None) -> tuple[int | None, ...]:
    """Each batch once; one None if there is none."""
    values = [] if batch is None else [batch] if isinstance(batch, int) else batch
    if wrong := [value for value in values if value < 1]:
        raise UsageError(f"--batch {wrong[0]}: must be at least 1")
    return tuple(dict.fromkeys(values)) or (None,)

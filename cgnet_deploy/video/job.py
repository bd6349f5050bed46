"""A source through a Segmenter into its sinks, counted and timed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.engines.base import EngineInfo
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.pixels import U8
from cgnet_deploy.progress import track
from cgnet_deploy.stats import LatencyMs
from cgnet_deploy.video.segmenter import Segmenter
from cgnet_deploy.video.sink import Sink
from cgnet_deploy.video.source import Picture, Source, flaws
from cgnet_deploy.video.stream import Stream

KEPT_SAMPLES = 100_000  # the latest: a camera runs for weeks, and its memory must not grow
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a source.

    engine: as it was named. frames: shown or written. dropped: of a live source. seconds: from the first read to the
    last frame done. engine_ns: of each inference; age_ns: of each frame from its arrival to its labels; both of the
    latest frames. stopped: by the caller. trouble: why the source ended too early, or None. missing: frames that a
    damaged file lacks by its time stamps. damaged: frames of which some of the data is lost.
    """

    engine: str
    info: EngineInfo
    source: str
    frames: int = 0
    dropped: int = 0
    seconds: float = 0.0
    engine_ns: tuple[int, ...] = ()
    age_ns: tuple[int, ...] = ()
    stopped: bool = False
    trouble: CgnetError | None = None
    missing: int = 0
    damaged: int = 0

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0

    def summary(self) -> str:
        """For a person: what `cgnet-video` prints."""
        dropped = f", {self.dropped} dropped" if self.dropped else ""
        lacking = flaws(self.missing, self.damaged)
        dropped += f", {lacking}: the input is damaged" if lacking else ""
        lines = [f"{self.frames} frames in {self.seconds:.2f} s: {self.fps:.1f} frames/s{dropped}"]
        for name, samples in (("engine", self.engine_ns), ("frame to labels", self.age_ns)):
            if samples:
                latency = asdict(LatencyMs.of(samples))
                figures = "  ".join(f"{key} {value:.2f}" for key, value in latency.items() if value is not None)
                lines.append(f"{name}, ms: {figures}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The object that `cgnet-video --json` writes."""
        engine, age = (asdict(LatencyMs.of(part)) if part else None for part in (self.engine_ns, self.age_ns))
        return {
            "schema": SCHEMA,
            "input": self.source,
            "engine": self.engine,
            "backend": self.info.backend,
            "provider": self.info.provider,
            "precision": self.info.precision.value,
            "sha256": self.info.sha256,
            "complete": not self.stopped and self.trouble is None and not (self.missing or self.damaged),
            "frames": self.frames,
            "missing": self.missing,
            "damaged": self.damaged,
            "dropped": self.dropped,
            "seconds": self.seconds,
            "fps": self.fps,
            "engine_ms": engine,
            "frame_to_labels_ms": age,
        }


def process(
    source: Source,
    segmenter: Segmenter,
    *,
    paint: Callable[[U8, U8], U8],
    overlays: Sink | None = None,
    masks: Sink | None = None,
    limit: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Segment the source to its end, to `limit` frames, until `stopped` returns True, or until a sink wants no more.

    paint: makes the picture for `overlays` from a frame and its labels; `masks` gets the labels. All outputs are
    complete when this returns.
    """

    def work(pictures: Sequence[Picture]) -> list[U8]:
        return segmenter.segment_batch([picture.pixels for picture in pictures])

    engine_ns, age_ns = deque[int](maxlen=KEPT_SAMPLES), deque[int](maxlen=KEPT_SAMPLES)
    frames = 0
    total = source.frames if limit is None or source.frames is None else min(limit, source.frames)
    with ExitStack() as stack:
        show = stack.enter_context(overlays) if overlays is not None else None
        keep = stack.enter_context(masks) if masks is not None else None
        begin_ns = CLOCK.now_ns()
        batch = segmenter.info.shape[0] or 1
        stream = stack.enter_context(
            Stream(source, work, batch=batch, live=source.live, workers=segmenter.engines, stopped=stopped)
        )
        for done in track(stream, total, "segmenting"):
            more = True
            if keep is not None:
                more &= keep(done.labels, done.index, done.frame.time_s)
            if show is not None:
                more &= show(paint(done.frame.pixels, done.labels), done.index, done.frame.time_s)
            frames += 1
            engine_ns.append(done.engine_ns)
            age_ns.append(done.age_ns)
            if not more or frames == limit or stopped():
                break
    seconds = (CLOCK.now_ns() - begin_ns) / 1e9
    return Outcome(
        segmenter.ref,
        segmenter.info,
        source.name,
        frames,
        stream.dropped,
        seconds,
        tuple(engine_ns),
        tuple(age_ns),
        stopped(),
        source.trouble,
        source.missing,
        source.damaged,
    )

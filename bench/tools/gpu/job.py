"""What one part of the GPU run is given by the process that starts it, in a file."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.files import read_json, write_json

MAX_JOB_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """out: of records. files: of ONNX files and plans. data: CamVid, for training; empty for none.

    gpu: its name. until: by CLOCK, in seconds, when the part must have ended.
    """

    out: str
    files: str
    ckpt: str
    data: str
    gpu: str
    until: float

    @property
    def left_s(self) -> float:
        return self.until - CLOCK.now_s()

    def record(self, part: str) -> Path:
        card = re.sub("[^a-z0-9]+", "-", self.gpu.lower()).strip("-")
        return Path(self.out) / f"gpu_{card}_{part}.json"


def write_job(path: Path, job: Job) -> None:
    write_json(path, asdict(job))


def read_job(path: Path) -> Job:
    return Job(**read_json(path, MAX_JOB_BYTES))

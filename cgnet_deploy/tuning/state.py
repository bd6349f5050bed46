"""tune.json: what was asked, every candidate and what is known of it, and the winner.

It is written anew after each step, atomically, and read back: a run that was killed goes on from it, if it was asked
for the same, of the same checkpoint, on the same machine with the same packages.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cgnet_deploy import codec
from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.report.compare import Ratio
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.files import sha256_of, write_bytes
from cgnet_deploy.tuning.candidates import Candidate, NotSearched
from cgnet_deploy.tuning.trial import Trial

log = logging.getLogger(__name__)

SCHEMA = 1
MAX_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the winner compares with an engine that a user has without us. ratio: of their p50 over the rounds."""

    engine: str
    p50_ms: float
    ratio: Ratio


@dataclass(frozen=True, slots=True)
class Winner:
    """name: of the candidate. engine: how cgnet-bench and `open_engine` call the file. command: makes it again.

    drop: points of mIoU below PyTorch, None without data. peers: what it was timed with, the slowest first.
    """

    name: str
    engine: str
    threads: int
    command: str
    p50_ms: float
    drop: float | None
    peers: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """asked: everything that a figure depends on, in words. base: of PyTorch on all images, None until it is scored.

    interrupted: by Ctrl-C or a kill; a run that has ended has a winner, or what kept it from having one in `failure`.
    """

    schema: int
    asked: dict[str, str]
    environment: Environment
    not_searched: tuple[NotSearched, ...]
    candidates: tuple[Trial, ...]
    base: Confusion | None = None
    winner: Winner | None = None
    failure: str = ""
    interrupted: bool = True

    def write(self, path: Path) -> None:
        write_bytes(path, (json.dumps(codec.to_json(self), indent=1, allow_nan=False) + "\n").encode())


def asked_in_words(here: Environment, options: Mapping[str, object]) -> dict[str, str]:
    """The options, the machine and its packages."""
    machine = {
        "machine": f"{here.cpu}, {here.cores} cores, {' '.join(here.cpu_flags)}, {here.gpu}",
        "packages": f"Python {here.python}, {here.packages}",
    }
    return {**{name: str(value) for name, value in options.items()}, **machine}


def earlier(path: Path, asked: Mapping[str, str]) -> State | None:
    """What an earlier run has written; None, with the reason in the log, if it can't be resumed."""
    try:
        if not path.exists():
            return None
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
        state = codec.loads(State, path.read_bytes())
    except (OSError, ValueError) as error:
        log.warning(f"{path} can't be resumed: {error}")
        return None
    changed = [name for name, value in asked.items() if state.asked.get(name) != value]
    if state.schema != SCHEMA or changed:
        log.info(f"{path} was asked for something else ({', '.join(changed) or 'schema'}): starting anew")
        return None
    return state


def resumed(state: State, candidate: Candidate, folder: Path) -> Trial:
    """What an earlier run knows of a candidate, judged anew; a file that is gone or was changed is made again.

    One that failed is not tried again by the run that was killed, perhaps by it, but by one after that.
    """
    known = next((trial for trial in state.candidates if trial.candidate == candidate), None)
    if known is None or known.fate == "not tried":
        return Trial(candidate)
    if known.fate == "same" or (known.fate == "failed" and state.interrupted):
        return known
    path = folder / candidate.variant.name
    if known.fate == "failed" or not (known.sha256 and path.is_file() and sha256_of(path) == known.sha256):
        return Trial(candidate)
    return replace(known, fate="fast", why="") if known.fate in ("scored", "refused") else known

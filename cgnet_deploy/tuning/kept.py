"""What a run leaves: the winner's file, the report, and the lines for stdout."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.artifact import copy_artifact
from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.report.columns import EMPTY
from cgnet_deploy.bench.report.page.page import check_packages, page
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.errors import MissingPackage
from cgnet_deploy.files import write_bytes
from cgnet_deploy.tables import text_table
from cgnet_deploy.tuning.candidates import NotSearched
from cgnet_deploy.tuning.limits import MIB
from cgnet_deploy.tuning.state import Comparison, State, Winner
from cgnet_deploy.tuning.trial import Trial, beside_pytorch

log = logging.getLogger(__name__)

HEADINGS = ("backend", "file", "threads", "p50 ms", "mIoU %", "drop", "MiB", "")
NUMBERS = HEADINGS[2:7]
FATE_CHARS = 90


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found.

    file: the winner's. records: of the final, as of `benchmark`: peers, then those that were scored.
    """

    file: Path
    winner: Winner
    state: State
    records: tuple[Record, ...]

    def summary(self) -> str:
        """The table of all candidates, the winner, and how it compares, as `cgnet-tune` prints it."""
        here = self.state.environment
        return "\n".join(
            [
                candidates_table(self.state),
                "",
                "not searched:",
                *left_out(self.state.not_searched),
                f"machine: {here.cpu}, {here.cores} cores; {' '.join(here.cpu_flags)}",
                *verdict(self.winner),
            ]
        )


def left_out(not_searched: Sequence[NotSearched]) -> Iterator[str]:
    """A line for each reason."""
    for why in dict.fromkeys(one.why for one in not_searched):
        yield f"  {', '.join(one.backend for one in not_searched if one.why == why)}: {why}"


def candidates_table(state: State) -> str:
    """The winner first, then by p50."""
    best = state.winner.name if state.winner else ""
    rows = sorted(state.candidates, key=lambda trial: (trial.name != best, trial.fate != "scored", trial.typical_ms))
    return text_table(HEADINGS, [_cells(trial, state, trial.name == best) for trial in rows], NUMBERS)


def _cells(trial: Trial, state: State, won: bool) -> tuple[str, ...]:
    drop = None if state.base is None else trial.drop(state.base)
    return (
        trial.candidate.backend,
        trial.candidate.variant.name,
        str(trial.candidate.threads),
        f"{trial.typical_ms:.2f}" if trial.p50_ms else EMPTY,
        EMPTY if trial.confusion is None else f"{100 * trial.confusion.miou:.2f}",
        EMPTY if drop is None else f"{drop:.3f}",
        f"{trial.file_bytes / MIB:.2f}" if trial.file_bytes else EMPTY,
        "the winner" if won else fate(trial),
    )


def fate(trial: Trial) -> str:
    """What became of it, short enough for a table; tune.json has all of it."""
    text = ": ".join(filter(None, ("" if trial.fate == "scored" else trial.fate, trial.why)))
    return text if len(text) <= FATE_CHARS else f"{text[:FATE_CHARS]}..."


def verdict(winner: Winner) -> Iterator[str]:
    """The winner, its ratio to each peer, and the command that makes it again."""
    drop = "" if winner.drop is None else f", mIoU {beside_pytorch(winner.drop)}"
    yield f"winner: {winner.engine}, {winner.threads} threads: p50 {winner.p50_ms:.2f} ms{drop}"
    fastest = min(winner.peers, key=lambda peer: peer.p50_ms, default=None)
    for peer in winner.peers:
        mark = ", the fastest of these" if peer is fastest and len(winner.peers) > 1 else ""
        yield f"  {times_as_fast(peer)} as fast as {peer.engine} ({peer.p50_ms:.2f} ms{mark})"
    yield f"made by: {winner.command}"


def times_as_fast(peer: Comparison) -> str:
    """With the 95 % interval."""
    ratio = peer.ratio
    return f"{1 / ratio.median:.2f} ({1 / ratio.high:.2f} to {1 / ratio.low:.2f}) times"


def keep_file(source: Path, out: Path, missed: bool) -> Path:
    """Copy a file into `out`, under the name that a script looks for or, `missed`, under another.

    Its sidecar too, unless it is a checkpoint, which has none.
    """
    path = out / f"cgnet{'.missed' if missed else ''}{source.suffix}"
    if source.suffix == ".pth":
        write_bytes(path, source.read_bytes())
    else:
        copy_artifact(source, path)
    return path


def write_report(out: Path, records: Sequence[Record], here: Environment) -> None:
    """report.html, where what draws it is installed."""
    try:
        check_packages()
    except MissingPackage as error:
        log.info(f"no report.html: {error}")
        return
    if records:
        write_bytes(out / "report.html", page(records, here, ()).encode(errors="backslashreplace"))

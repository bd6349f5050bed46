"""Training on the terminal: a bar with loss, learning rate, img/s and time left, or plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Interval:
    """loss: mean over the steps since the last one. grad_norm: of the last step, before clipping."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    img_per_s: float


def spelled(entry: Interval, steps: int, batch: int) -> str:
    minutes, seconds = divmod(round((steps - entry.step) * batch / entry.img_per_s), 60)
    return (
        f"step {entry.step}/{steps}  loss {entry.loss:.4f}  lr {entry.lr:.2e}  {entry.img_per_s:.1f} img/s  "
        f"{minutes}:{seconds:02d} left"
    )


class Bar:
    """`show` is cheap on a terminal; elsewhere it says at most a hundred lines in all."""

    def __init__(self, step: int, steps: int, batch: int) -> None:
        self.steps, self.batch, self.said = steps, batch, step
        self.progress: Progress | None = None
        if sys.stderr.isatty():
            columns = (BarColumn(), TextColumn("{task.description}"))
            self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self.task = self.progress.add_task("", total=steps, completed=step)
            self.progress.start()

    def show(self, entry: Interval) -> None:
        text = spelled(entry, self.steps, self.batch)
        if self.progress:
            self.progress.update(self.task, completed=entry.step, description=text)
        elif (entry.step - self.said) * 100 >= self.steps or entry.step == self.steps:
            log.info(text)
            self.said = entry.step

    def close(self) -> None:
        if self.progress:
            self.progress.stop()

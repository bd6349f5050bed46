"""The log of a run: a line an interval in log.jsonl and in TensorBoard, and the curves."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cgnet_deploy.errors import require
from cgnet_deploy.files import replacing, write_bytes
from cgnet_deploy.places import unwritten
from cgnet_deploy.train.state import CURVES, LOG


@dataclass(frozen=True, slots=True)
class Interval:
    """loss: mean over the steps since the last one. grad_norm: of the last step, before clipping."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    img_per_s: float

    def text(self, steps: int | None, left_s: float) -> str:
        """One line. steps: of the run, None if not fixed yet. left_s: the time left."""
        minutes, seconds = divmod(max(0, round(left_s)), 60)
        of = f"/{steps}" if steps else ""
        return (
            f"step {self.step}{of}  loss {self.loss:.4f}  lr {self.lr:.2e}  {self.img_per_s:.1f} img/s  "
            f"{minutes}:{seconds:02d} left"
        )


@dataclass(frozen=True, slots=True)
class Validation:
    """miou, iou: 0 to 1, None for a class that occurs nowhere."""

    step: int
    miou: float
    iou: dict[str, float | None]


class Journal:
    """Appends to the run's log. A resumed run first drops what was logged after the step that it goes on from."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        kept = [line for line in _lines(self.path) if line["step"] <= step] if step else []
        write_bytes(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self.board = None
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def interval(self, entry: Interval) -> None:
        self._write(asdict(entry) | {"img_per_s": round(entry.img_per_s, 2)})
        if self.board:
            for name, value in (("loss", entry.loss), ("lr", entry.lr), ("img_per_s", entry.img_per_s)):
                self.board.add_scalar(name, value, entry.step)

    def validation(self, entry: Validation) -> None:
        self._write(asdict(entry))
        if self.board:
            self.board.add_scalar("miou", entry.miou, entry.step)

    def _write(self, line: dict[str, Any]) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise unwritten(self.path, error) from error

    def close(self) -> None:
        if self.board:
            self.board.close()

    def draw(self) -> bool:
        """Write curves.png; False if matplotlib isn't installed."""
        if not importlib.util.find_spec("matplotlib"):
            return False
        figures = require("matplotlib.figure", extra="report")
        lines = _lines(self.path)
        figure = figures.Figure(figsize=(8, 6), layout="constrained")
        for axes, key, label in zip(
            figure.subplots(3, 1, sharex=True),
            ("loss", "lr", "miou"),
            ("loss", "learning rate", "val mIoU"),
            strict=True,
        ):
            points = [(line["step"], line[key]) for line in lines if key in line]
            axes.plot(*zip(*points, strict=True), marker="o" if key == "miou" else "") if points else None
            axes.set_ylabel(label)
            axes.grid(alpha=0.3)
        axes.set_xlabel("step")
        with replacing(self.path.with_name(CURVES)) as temporary:
            figure.savefig(temporary, format="png")
        return True


def _lines(path: Path) -> list[dict[str, Any]]:
    """The log so far; a line that a killed run left half written is dropped."""
    entries = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entries.append(json.loads(text))
        except ValueError:
            continue
    return entries

"""Progress of long work. The library prints nothing; a command chooses to show it.

track, task    called by long work; without a display, each quarter is one line in the log (INFO)
display        entered by a command: bars on stderr if it is a terminal, lines in the log elsewhere
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")

log = logging.getLogger(__name__)

QUARTERS = 4
SHORT = 20  # work of fewer steps is over before its quarters are worth a line

_bars: Progress | None = None


class Task:
    """One piece of long work. total: its steps, None if unknown. lines: of the log, without a display."""

    def __init__(self, label: str, total: float | None, done: float = 0, lines: int | None = None) -> None:
        self.label, self.total, self.done = label, total, done
        self.lines = lines if lines is not None else QUARTERS if total and total >= SHORT else 0
        self._bar: TaskID | None = _bars.add_task(label, total=total, completed=int(done), detail="") if _bars else None

    def update(self, done: float, detail: str = "") -> None:
        """`done` of the steps are done. detail: shown behind the bar, such as a loss."""
        before, self.done = self.done, done
        if _bars is not None and self._bar is not None:
            _bars.update(self._bar, completed=done, detail=detail)
        elif self.total and self.lines:
            reached = int(done * self.lines / self.total)
            if reached > int(before * self.lines / self.total):
                log.info("%s: %d %%%s", self.label, 100 * reached // self.lines, f"  {detail}" if detail else "")

    def advance(self) -> None:
        self.update(self.done + 1)

    def close(self) -> None:
        if _bars is not None and self._bar is not None:
            _bars.remove_task(self._bar)


@contextmanager
def task(label: str, total: float | None, done: float = 0, lines: int | None = None) -> Iterator[Task]:
    """Work whose progress is reported by `Task.update` or `Task.advance`. done: the steps that an earlier run did."""
    work = Task(label, total, done, lines)
    try:
        yield work
    finally:
        work.close()


def track(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """Yield `items`, each a step of work that is done when the next one is asked for."""
    with task(label, total) as work:
        for item in items:
            yield item
            work.advance()


@contextmanager
def display() -> Iterator[None]:
    """Draw bars on stderr while inside, if it is a terminal."""
    global _bars
    if _bars is not None or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as _bars:
        try:
            yield
        finally:
            _bars = None

"""SIGINT and SIGTERM as requests: the current step is finished and saved, then the run ends; a wait ends at once.

Everywhere else SIGINT raises KeyboardInterrupt, but never inside an import: packages turn it into other errors there.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

IMPORT = "<frozen importlib._bootstrap>"  # the file of the frames that import
AGAIN_S = 0.02


class WaitEnded(KeyboardInterrupt):
    """A signal came while `Interrupts.waiting`."""


class Interrupts:
    """received: the first signal, None so far. A second SIGINT interrupts at once."""

    received: signal.Signals | None = None
    _waiting = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        if self._waiting:
            self._waiting = False
            raise WaitEnded

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Raise WaitEnded for a signal that came before or comes meanwhile: what is awaited may never come."""
        self._waiting = True
        try:
            if self.received is not None:
                raise WaitEnded
            yield
        finally:
            self._waiting = False


@contextmanager
def caught_interrupts() -> Iterator[Interrupts]:
    """Record signals instead of stopping; main thread only. The previous handlers are restored at the end.

    Raises KeyboardInterrupt for a SIGINT that came in an import before and still waits for its end.
    """
    before = signal.getsignal(signal.SIGINT)
    if isinstance(before, Prompt) and before.received:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise KeyboardInterrupt
    interrupts = Interrupts()
    previous = {number: signal.signal(number, interrupts) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Prompt(Interrupts):
    """Raises KeyboardInterrupt once nothing is being imported; at the second SIGINT at once."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            super().__call__(number, frame)
        if _importing(frame):
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        else:
            raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != IMPORT:
        frame = frame.f_back
    return frame is not None


@contextmanager
def prompt_interrupts() -> Iterator[Interrupts]:
    """Raise KeyboardInterrupt for SIGINT, where it is not ignored, outside imports; nothing in other threads."""
    before, prompt = signal.getsignal(signal.SIGINT), Prompt()
    early = isinstance(before, Interrupts)
    if threading.current_thread() is not threading.main_thread() or not (early or before is signal.default_int_handler):
        yield prompt
        return
    alarm = signal.signal(signal.SIGALRM, prompt)
    signal.signal(signal.SIGINT, prompt)
    try:
        if isinstance(before, Interrupts) and before.received:
            prompt.received = before.received
            raise KeyboardInterrupt
        yield prompt
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGALRM, alarm)

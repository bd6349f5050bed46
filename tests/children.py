"""What tests need to interrupt themselves or the programs that they start."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT interrupts this process, and programs started inside, even if our parent ignores it; also a decorator.

    A job in the background of a script (`make test &`) ignores SIGINT, and exec keeps an ignored signal ignored, while
    one with a handler gets its default action back.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

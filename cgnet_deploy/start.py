"""Where the console commands start: Ctrl-C is heeded before anything slow is imported, and while it is.

A KeyboardInterrupt raised inside an import can come out as any other error, or as none: so it is only noted there.
Before that it is Python's, with a traceback: what is imported up to here is little.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from cgnet_deploy.interrupts import Interrupts


def _start(name: str, argv: Sequence[str] | None = None) -> int:
    """argv: instead of the process's own; then its handlers are left alone."""
    ignored = signal.getsignal(signal.SIGINT) is not signal.default_int_handler  # as for a shell's background jobs
    if argv is None and not ignored:
        signal.signal(signal.SIGINT, Interrupts())
    code: int = import_module(f"cgnet_deploy.{name}.cli").main(argv)
    return code


bench = partial(_start, "bench")
convert = partial(_start, "checkpoint")
doctor = partial(_start, "doctor")
export = partial(_start, "export")
label = partial(_start, "label")
train = partial(_start, "train")
tune = partial(_start, "tuning")
video = partial(_start, "video")

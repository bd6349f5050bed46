"""Another interpreter with a function of ours in it."""

from __future__ import annotations

import sys


def program(module: str, function: str = "main") -> tuple[str, ...]:
    """The command that calls `function` of `module`; it reads its arguments from sys.argv and returns the exit code.

    Not `python -m`, which searches the current folder first, where a user's own onnx.py or torch.py may lie.
    """
    code = f"import sys; sys.path = [p for p in sys.path if p]; from {module} import {function}; sys.exit({function}())"
    return (sys.executable, "-c", code)

"""The stand-in refuses what CUDA and TensorRT refuse: what it let pass would pass the library's tests too."""

from __future__ import annotations

import pytest

from tests.engines.cpp.conftest import Sanitized

# cudaErrorStreamCapture...
UNSUPPORTED, INVALIDATED, IMPLICIT, WRONG_THREAD = 900, 901, 906, 908


@pytest.mark.parametrize(
    ("case", "given"),
    [
        ("sound", "1 1 1 0"),
        ("version", "0"),
        ("RTX's plan", "0"),
        ("short plan", "0"),
        ("context on another GPU", "0"),
        ("stream flags", "1"),
        ("allocate", f"{UNSUPPORTED} {INVALIDATED}"),
        ("pin", f"{UNSUPPORTED} {INVALIDATED}"),
        ("free", f"{UNSUPPORTED} {INVALIDATED}"),
        ("wait", f"{UNSUPPORTED} {INVALIDATED}"),
        ("wait for the legacy stream", f"{UNSUPPORTED} {INVALIDATED}"),
        ("record on the legacy stream", f"{IMPLICIT} {INVALIDATED}"),
        ("copy on the legacy stream", f"{IMPLICIT} {INVALIDATED}"),
        ("the legacy stream beside one that doesn't wait for it", "0 0"),
        ("allocate in another thread", "0 0"),
        ("end in another thread", f"{WRONG_THREAD} 0"),
        ("record the legacy stream", "1"),
        ("shape", "0 1 0, 4: 1 40 56 3"),
        ("no shape", "3: 1 -1 -1, 0"),
        ("no address", "0"),
        ("address", "0 0"),
        ("run on the legacy stream", "0"),
        ("profile of a fixed network", "-1:"),
    ],
)
def test_what_is_refused(case: str, given: str, sanitized: Sanitized) -> None:
    done = sanitized.run(sanitized.misuse, case)
    assert (done.returncode, done.stdout.strip()) == (0, given), done.stderr


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("global mode", "other threads, which may allocate, would spoil the recording"),
        ("pinned memory", "pinned memory is given back before the work that uses it is done"),
    ],
)
def test_what_a_gpu_leaves_undefined_ends_the_process(case: str, says: str, sanitized: Sanitized) -> None:
    done = sanitized.run(sanitized.misuse, case)
    assert done.returncode not in (0, 64, 65)
    assert f"the stand-in: {says}" in done.stderr

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.mutation import KINDS, SEEDS, described, error_of, mutated, network, opened

TIMES = int(os.environ.get("CGNET_MUTATIONS", "60"))  # of each seed and kind
FEW = 15  # of a file that takes long to read


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_read_or_refused_on_one_line_in_bounded_time_and_memory(kind: str) -> None:
    times = TIMES if kind in ("sidecar", "onnx", "described onnx") else -(-TIMES * FEW // 60)
    command = [sys.executable, "-m", "tests.mutation", kind, str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert sum(counts.values()) == times * len(SEEDS)


def test_a_described_file_whose_graph_is_damaged(tmp_path: Path) -> None:
    """Found by more mutations than a run of all tests makes."""
    path = tmp_path / "a.onnx"
    described(path)
    whole = path.read_bytes()
    for at in range(len(network())):
        path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        error_of(lambda: opened(path))
    path.write_bytes(whole)
    opened(path)


def test_a_seed_gives_the_same_files() -> None:
    whole = network()
    first, again = (
        [mutated(whole, rng) for _ in range(20)] for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )
    assert first == again
    assert whole not in first

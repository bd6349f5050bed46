"""Two processes (gloo) with half a batch each against one with all of it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.train import start
from cgnet_deploy.train.feed import Share
from tests.data.trees import camvid_tree
from tests.train.runs import TINY, arguments, losses, started, trained

# SyncBatchNorm needs GPUs: with statistics of its own half batch each process would see another network.
FROZEN = (*TINY, "batch=8", "frozen_bn=true", "optimiser.lr=1e-3")


def test_two_processes_follow_one(tmp_path: Path) -> None:
    data = camvid_tree(tmp_path / "camvid", images=8)
    one, two = tmp_path / "one", tmp_path / "two"
    torchrun = "torch.distributed.run --standalone --nproc-per-node 2 -m cgnet_deploy.train.cli"
    process = started(torchrun, arguments(data, two, "--iterations", "20", settings=FROZEN))
    assert trained(data, one, "--iterations", "20", settings=FROZEN) == 0
    out, err = process.communicate()
    assert process.returncode == 0, err
    alone, together = np.array(losses(one)), np.array(losses(two))
    assert len(alone) == len(together) == 20
    assert alone[-1] < alone[0]
    assert (np.abs(together - alone) / alone).max() < 1e-4
    assert out.count("| CGNet |") == 1  # the first process reports, for both


def test_a_batch_that_cannot_be_shared_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start, "_together", lambda: nullcontext(Share(rank=0, world=2)))
    assert trained(camvid_tree(tmp_path / "camvid"), tmp_path / "out", settings=(*TINY, "batch=3")) == 2
    assert "a batch of 3 can't be shared out to 2 processes" in capsys.readouterr().err

"""The exporter's own graph: any tool's file, and the same function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from cgnet_deploy.checkpoint.writing import save_official
from cgnet_deploy.errors import CheckpointError
from cgnet_deploy.export.plain import export_plain
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.spec import Res
from tests.export.graphs import ROUNDING
from tests.export.networks import logits, planes, trained


def test_writes_what_the_exporter_makes_without_a_sidecar(tmp_path: Path) -> None:
    model, res = trained(11), Res(33, 47)
    save_official(tmp_path / "model.pth", model, {})
    export_plain(tmp_path / "model.pth", res, tmp_path / "plain.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"model.pth", "plain.onnx"}
    content = (tmp_path / "plain.onnx").read_bytes()
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    x = planes(res)
    wanted, (found,) = logits(model, x), run_single(content, [x.numpy()])
    assert np.abs(found - wanted).max() <= ROUNDING * np.abs(wanted).max()


def test_refuses_what_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(CheckpointError):
        export_plain(tmp_path / "model.pth", Res(33, 47), tmp_path / "plain.onnx")
    assert not (tmp_path / "plain.onnx").exists()

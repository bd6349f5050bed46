"""Pipelines beside their engine: what is compared with what. The rates themselves are no part of these tests."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from cgnet_deploy.bench.tools import pipeline
from cgnet_deploy.bench.tools.pipeline import Rates, summary
from tests.engines.graphs import written


def test_a_rate_is_compared_with_the_engine_s_before_and_after() -> None:
    rates = Rates(fps=[9.0, 20.0, 30.0], before=[10.0, 10.0, 30.0], after=[10.0, 30.0, 50.0])
    assert rates.ratios == [0.9, 1.0, 0.75]
    result = summary(rates, best_alone=50.0)
    assert (result["ratio"], result["ratio_low"], result["ratio_high"]) == (0.9, 0.75, 1.0)
    assert result["ratio_to_best"] == 0.4


def test_both_pipelines_run_and_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = written(tmp_path / "tiny.onnx", "frames", (1, 40, 56)).path
    program = tmp_path / "cgnet_video"
    program.write_text(
        "#!/bin/sh\nshift; test -f $1 && echo '30 frames of H=40 W=56 in 2.0 s: 15.0 frames/s; network'\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    flags = ["--engine", f"openvino:{engine}", "--program", str(program), "--json", str(tmp_path / "result.json")]
    assert pipeline.main([*flags, "--frames", "30", "--rounds", "1", "--seconds", "0.1", "--threads", "2"]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["res"], result["frames"], len(result["engine_fps"])) == ([40, 56], 30, 3)
    assert result["pipelines"]["cgnet_video"]["fps"] == [15.0]
    python = result["pipelines"]["cgnet-video"]
    assert python["fps"][0] > 0
    assert [*python["before"], *python["after"]] == result["engine_fps"][:2]
    assert "cgnet-video: " in capsys.readouterr().out


def test_a_pipeline_that_fails_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = written(tmp_path / "tiny.onnx", "frames", (1, 40, 56)).path
    flags = ["--engine", f"openvino:{engine}", "--program", "false", "--frames", "30", "--rounds", "1"]
    assert pipeline.main([*flags, "--seconds", "0.1", "--threads", "1"]) == 1
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("python -m cgnet_deploy.bench.tools.pipeline: error: false ended with code 1")
    )

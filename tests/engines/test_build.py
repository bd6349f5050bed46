from __future__ import annotations

import logging
import os
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cgnet_deploy.artifact import Artifact, read_artifact, sidecar_path
from cgnet_deploy.engines import verifyplan
from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.engines.build import BuiltPlan, build_plan
from cgnet_deploy.engines.gpu import Gpu
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.engines.plan import read_plan
from cgnet_deploy.engines.serialise import ShapeRange
from cgnet_deploy.engines.verifyplan import PlanVerification
from cgnet_deploy.errors import AccuracyError, ArtifactError, EngineUnavailable, UsageError, UserError
from cgnet_deploy.pixels import U8
from cgnet_deploy.progress import Task
from cgnet_deploy.spec import Precision
from tests.children import interruptible
from tests.engines.graphs import DYNAMIC, FIXED, SPEC, logits_of, network, written

rtx = pytest.importorskip("tensorrt_rtx")


def test_a_plan_comes_with_a_sidecar_that_says_what_it_is(built: BuiltPlan) -> None:
    onnx = read_artifact(built.artifact.path.with_suffix(".onnx"))
    read = read_artifact(built.artifact.path)
    assert read == built.artifact
    assert (read.kind, read.precision, read.spec, read.io) == ("plan", Precision.F32, SPEC, "frames")
    assert read.shape == FIXED
    assert read.parent_sha256 == onnx.sha256
    assert (built.builder, built.version, built.architecture) == ("rtx", rtx.__version__, "portable")
    assert read.made_with["tensorrt_rtx"] == rtx.__version__
    assert read.made_with["architecture"] == "portable"


def test_open_sides_need_a_range_and_stay_open_where_it_is_one(tmp_path: Path) -> None:
    onnx = written(tmp_path / "a.onnx", "frames", DYNAMIC)
    with pytest.raises(UsageError, match="leaves sizes open: give sizes"):
        build_plan(onnx.path, tmp_path / "a.plan", builder="rtx")
    sizes = ShapeRange((1, 40, 56), (2, 40, 56), (4, 40, 112))
    assert build_plan(onnx.path, tmp_path / "a.plan", builder="rtx", sizes=sizes).artifact.shape == (None, 40, None)


def test_a_range_that_does_not_fit_is_refused(tmp_path: Path, fixed_onnx: Artifact) -> None:
    with pytest.raises(UsageError, match="has a fixed size, which the plan takes too"):
        build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx", sizes=ShapeRange(*[(1, 40, 56)] * 3))
    onnx = written(tmp_path / "b.onnx", "frames", (None, 40, 56))
    for sizes in (
        ShapeRange((2, 40, 56), (1, 40, 56), (4, 40, 56)),
        ShapeRange((1, 40, 56), (1, 40, 56), (4, 48, 56)),
        ShapeRange((0, 40, 56), (1, 40, 56), (4, 40, 56)),
    ):
        with pytest.raises(UsageError, match="doesn't fit"):
            build_plan(onnx.path, tmp_path / "b.plan", builder="rtx", sizes=sizes)


def test_a_parent_of_the_wrong_kind_or_without_a_sidecar_is_refused(tmp_path: Path, plan: Artifact) -> None:
    with pytest.raises(ArtifactError, match="is a plan, wanted an ONNX file"):
        build_plan(plan.path, tmp_path / "a.plan")
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(network("frames", FIXED).SerializeToString())
    with pytest.raises(ArtifactError, match="has no sidecar"):
        build_plan(bare, tmp_path / "a.plan")


def test_a_parent_without_its_sidecar_gives_the_same_plan(tmp_path: Path, fixed_onnx: Artifact, plan: Artifact) -> None:
    sidecar_path(fixed_onnx.path).unlink()
    (folder := tmp_path / "alone").mkdir()
    alone = build_plan(fixed_onnx.path, folder / plan.path.name, builder="rtx").artifact
    assert replace(alone, path=plan.path, sha256=plan.sha256) == plan


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, fixed_onnx: Artifact) -> None:
    with pytest.raises(UserError, match="can't be written"):
        build_plan(fixed_onnx.path, tmp_path / "no" / "a.plan", builder="rtx")


def test_a_timing_cache_is_refused_where_there_is_none(tmp_path: Path, fixed_onnx: Artifact) -> None:
    with pytest.raises(UsageError, match="TensorRT for RTX has no timing cache"):
        build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx", timing_cache=tmp_path / "cache")


def test_a_level_is_refused_where_it_changes_nothing(tmp_path: Path, fixed_onnx: Artifact) -> None:
    with pytest.raises(UsageError, match="TensorRT for RTX builds the same plan at every level"):
        build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx", level=5)


@interruptible()
def test_ctrl_c_stops_a_build_and_leaves_nothing(
    tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Task, "update", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert not list(tmp_path.glob("*.plan*"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_progress_is_logged_in_quarters(
    tmp_path: Path, fixed_onnx: Artifact, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="cgnet_deploy"):
        build_plan(str(fixed_onnx.path), str(tmp_path / "a.plan"), builder="rtx", workspace_mib=64)
    assert capfd.readouterr() == ("", "")
    assert caplog.messages[0] == "building a.plan: 25 %"
    assert all(line.startswith("building a.plan: ") for line in caplog.messages)


def test_progress_that_cannot_be_shown_stops_no_build(
    tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no steps")

    monkeypatch.setattr(Task, "update", broken)
    assert build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx").artifact.path.exists()


def test_where_there_is_no_gpu_result_and_sidecar_say_that_nothing_was_compared(
    tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_gpu() -> Gpu:
        raise EngineUnavailable("no NVIDIA GPU")

    monkeypatch.setattr(verifyplan, "find_gpu", find_gpu)
    built = build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert built.verification == PlanVerification(0, None, "no GPU here")
    assert built.artifact.made_with["verified"] == "not verified: no GPU here"


class OnAGpu:
    """An engine that takes any plan of ours for the network of graphs.py, with its scores times `sign`."""

    sign = 1

    def __init__(self, path: Path) -> None:
        self.plan = read_plan(path)

    def infer(self, frames: U8) -> U8:
        return labels_of(self.sign * logits_of(frames))

    def close(self) -> None: ...


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(ref: str, **sizes: object) -> object:
        return closing(OnAGpu(Path(ref[4:]))) if ref.startswith("trt:") else open_engine(ref, **sizes)  # type: ignore[arg-type]

    monkeypatch.setattr(verifyplan, "find_gpu", lambda: Gpu("a card", "sm_89"))
    monkeypatch.setattr(verifyplan, "open_engine", opened)


@pytest.mark.usefixtures("on_a_gpu")
def test_a_plan_is_compared_with_its_file_before_it_is_kept(
    tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert built.verification == PlanVerification(4, 1.0)
    assert built.artifact.made_with["verified"] == "labels equal its ONNX file's on 100.0000% of 4 frames"
    before = built.artifact.path.read_bytes(), sidecar_path(built.artifact.path).read_bytes()
    monkeypatch.setattr(OnAGpu, "sign", -1)
    with pytest.raises(AccuracyError, match=r"^the plan disagrees with .*; a\.plan is not written$"):
        build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert (built.artifact.path.read_bytes(), sidecar_path(built.artifact.path).read_bytes()) == before


@pytest.mark.usefixtures("on_a_gpu")
def test_a_plan_with_open_sides_is_compared_at_the_size_that_it_is_tuned_for(tmp_path: Path) -> None:
    onnx = written(tmp_path / "a.onnx", "frames", DYNAMIC)
    sizes = ShapeRange((1, 40, 56), (3, 40, 96), (4, 40, 112))
    built = build_plan(onnx.path, tmp_path / "a.plan", builder="rtx", sizes=sizes)
    assert built.verification == PlanVerification(3, 1.0)


@pytest.mark.usefixtures("on_a_gpu")
def test_a_plan_that_this_gpu_can_t_run_says_why(
    tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: OnAGpu, path: Path) -> None:
        raise EngineUnavailable(f"{path} can't run here: too old a driver")

    monkeypatch.setattr(OnAGpu, "__init__", refuse)
    verification = build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx").verification
    assert verification.summary() == "not verified: a.plan can't run here: too old a driver"

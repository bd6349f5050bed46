from __future__ import annotations

import gc
import hashlib
import logging
import os
import signal
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import helper

from cgnet_deploy.artifact import Artifact, read_artifact, sidecar_path, write_artifact
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines import build, trtapi, verifyplan
from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.engines.build import BuiltPlan, ShapeRange, build_plan, choose_builder
from cgnet_deploy.engines.gpu import Gpu
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.engines.plan import read_plan
from cgnet_deploy.engines.progress import watched
from cgnet_deploy.engines.verifyplan import PlanVerification
from cgnet_deploy.errors import AccuracyError, ArtifactError, EngineUnavailable, UsageError, UserError
from cgnet_deploy.pixels import U8
from cgnet_deploy.progress import Task
from cgnet_deploy.spec import Precision
from tests.children import interruptible
from tests.engines.graphs import DYNAMIC, FIXED, SPEC, logits_of, model, network, tensor, written

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


@pytest.mark.parametrize("half", [False, True])
def test_convolutions_are_counted_by_the_type_they_take(tmp_path: Path, half: bool) -> None:
    onnx = written(tmp_path / "a.onnx", "tensor", FIXED, half=half)
    built = build_plan(onnx.path, tmp_path / "a.plan", builder="rtx")
    assert built.convolutions == {"half" if half else "float": 1}
    assert built.artifact.precision is (Precision.F16 if half else Precision.F32)


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


def test_what_the_parser_refuses_is_one_line_and_destroys_nothing(tmp_path: Path, plan: Artifact) -> None:
    before = plan.path.read_bytes(), sidecar_path(plan.path).read_bytes()
    # TensorRT moves no u8 tensor about before it is cast.
    nodes = [helper.make_node("Transpose", ["frames"], ["labels"], "turn", perm=[0, 3, 1, 2])]
    graph = model(nodes, [tensor("frames", "UINT8", 1, 40, 56, 3)], [tensor("labels", "UINT8", 1, 3, 40, 56)], {})
    onnx = _ours(tmp_path / "a.onnx", graph.SerializeToString())
    with pytest.raises(ArtifactError, match=r"tensorrt_rtx can't read .*a\.onnx: node \w+ \(Transpose\): ") as caught:
        build_plan(onnx, plan.path, builder="rtx")
    assert "\n" not in str(caught.value)
    assert (plan.path.read_bytes(), sidecar_path(plan.path).read_bytes()) == before


@pytest.mark.parametrize(
    "content",
    [b"", b"\x18\x01", *(np.random.default_rng(seed).bytes(3000) for seed in range(5))],
    ids=["empty", "no graph", *(f"random {seed}" for seed in range(5))],
)
def test_what_is_no_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    onnx = _ours(tmp_path / "a.onnx", content)
    with pytest.raises(ArtifactError, match="tensorrt_rtx can't read") as caught:
        build_plan(onnx, tmp_path / "a.plan", builder="rtx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.plan").exists()


def test_a_parent_of_the_wrong_kind_or_without_a_sidecar_is_refused(
    tmp_path: Path, plan: Artifact, fixed_onnx: Artifact
) -> None:
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


@pytest.mark.parametrize(("level", "asked"), [(None, 3), (0, 0), (5, 5)])
def test_the_builder_is_asked_for_the_level(
    level: int | None, asked: int, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT for RTX has the setting too, and ignores it."""
    levels: list[int] = []

    def noted(trt: ModuleType, config: Any, label: str) -> AbstractContextManager[None]:
        levels.append(config.builder_optimization_level)
        return watched(trt, config, label)

    monkeypatch.setattr(build, "watched", noted)
    build._serialised(rtx, fixed_onnx, "a.plan", "portable", level, None, None, None)
    assert levels == [asked]


class Config:
    """As much of an IBuilderConfig as a timing cache needs. Caches of this GPU begin with b"ours"."""

    attached = b""

    def create_timing_cache(self, content: bytes) -> bytes | None:
        return None if content == b"garbage" else content

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        fits = cache == b"" or cache.startswith(b"ours")
        self.attached = cache if fits else self.attached
        return fits


@pytest.mark.parametrize(
    ("content", "attached", "logged"),
    [(None, b"", False), (b"ours", b"ours", False), (b"another GPU's", b"", True), (b"garbage", b"", True)],
)
def test_a_timing_cache_is_used_if_it_fits_and_else_replaced(
    content: bytes | None, attached: bytes, logged: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache"
    if content is not None:
        path.write_bytes(content)
    config = Config()
    with caplog.at_level(logging.INFO, logger="cgnet_deploy"):
        build._attach_timing_cache(config, path)
    assert config.attached == attached
    assert ("a new one is made" in caplog.text) == logged


def test_no_garbage_is_collected_while_tensorrt_may_call_the_log(
    tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It calls with its lock held; a collection then that frees an older builder would wait for ever."""
    called_while_collecting: list[bool] = []

    def new_log(trt: ModuleType) -> object:
        log = trtapi.new_log(trt)
        monkeypatch.setattr(type(log), "log", lambda *_: called_while_collecting.append(gc.isenabled()))
        return log

    monkeypatch.setattr(build, "new_log", new_log)
    build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert called_while_collecting
    assert not any(called_while_collecting)
    assert gc.isenabled()


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


@pytest.mark.parametrize(
    ("gpu", "installed", "chosen"),
    [
        ("sm_90", {"tensorrt", "tensorrt_rtx"}, "tensorrt"),
        ("sm_90", {"tensorrt"}, "tensorrt"),
        ("sm_89", {"tensorrt_rtx"}, "rtx"),
        ("sm_90", {"tensorrt_rtx"}, r"RTX runs on sm_75.*is sm_90.*\[trt\].*--builder rtx.*--no-engine"),
        ("", {"tensorrt", "tensorrt_rtx"}, "rtx"),
        ("", {"tensorrt"}, "no GPU.*--no-engine"),
        ("sm_90", set(), "TensorRT is not installed.*--no-engine"),
        ("", set(), "no GPU.*--no-engine"),
    ],
)
def test_auto_takes_what_is_there(gpu: str, installed: set[str], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_gpu() -> Gpu:
        if not gpu:
            raise EngineUnavailable("no GPU")
        return Gpu("a card", gpu)

    def find_spec(package: str) -> ModuleSpec | None:
        return ModuleSpec(package, None, origin="here") if package in installed else None

    monkeypatch.setattr(build, "find_gpu", find_gpu)
    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    if "--no-engine" in chosen:
        with pytest.raises(UserError, match=chosen) as caught:
            choose_builder("auto")
        assert caught.value.exit_code == 2
    else:
        assert choose_builder("auto") == chosen


def test_a_plan_for_rtx_is_built_for_the_gpu_where_a_portable_one_does_not_run(
    tmp_path: Path, fixed_onnx: Artifact, plan: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "find_gpu", lambda: Gpu("a card", "sm_75"))
    built = build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert built.architecture == built.artifact.made_with["architecture"] == "sm_75"
    assert built.artifact.sha256 != plan.sha256
    for other in ("sm_89", "sm_90"):  # the latter's plan is for another machine
        monkeypatch.setattr(build, "find_gpu", lambda other=other: Gpu("a card", other))
        assert build.rtx_target(rtx) == "portable"


def test_f32_is_not_rounded_to_tf32(tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    flags: list[bool] = []

    def noted(trt: ModuleType, config: Any, label: str) -> AbstractContextManager[None]:
        flags.append(config.get_flag(rtx.BuilderFlag.TF32))
        return watched(trt, config, label)

    monkeypatch.setattr(build, "watched", noted)
    build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert flags == [False]


def test_a_profile_that_tensorrt_refuses_is_an_error(tmp_path: Path) -> None:
    onnx = written(tmp_path / "a.onnx", "frames", DYNAMIC)
    config = SimpleNamespace(add_optimization_profile=lambda _: -1)
    sizes = ShapeRange(*[(1, 40, 56)] * 3)
    network = SimpleNamespace(get_input=lambda _: SimpleNamespace(name="frames"))
    builder = SimpleNamespace(create_optimization_profile=lambda: SimpleNamespace(set_shape=lambda *_: None))
    with pytest.raises(UsageError, match=r"doesn't fit .*a\.onnx: too odd"):
        build._add_profile(builder, config, network, onnx, sizes, SimpleNamespace(reason=lambda: "too odd"))


def test_progress_that_cannot_be_shown_stops_no_build(
    tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no steps")

    monkeypatch.setattr(Task, "update", broken)
    assert build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx").artifact.path.exists()


def test_tensorrt_without_a_gpu_points_to_what_builds_without(
    tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_gpu() -> Gpu:
        raise EngineUnavailable("no GPU")

    monkeypatch.setattr(build, "find_gpu", find_gpu)
    with pytest.raises(EngineUnavailable, match="TensorRT can't build here: no GPU; use --builder rtx, or --no-engine"):
        build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="tensorrt")


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


@pytest.mark.shared
def test_the_official_network_is_built(shared: Path, tmp_path: Path) -> None:
    content = (shared / "peers" / "exporter_graph_camvid_360x480.onnx").read_bytes()
    write_artifact(
        tmp_path / "a.onnx",
        content,
        kind="onnx",
        precision=Precision.F32,
        io="tensor",
        shape=(1, 360, 480),
        spec=model_spec("camvid-official", 11, (3, 21)),
        parent_sha256=None,
        made_with={},
    )
    built = build_plan(tmp_path / "a.onnx", tmp_path / "a.plan", builder="rtx")
    assert built.convolutions == {"float": 78}


def _ours(path: Path, content: bytes) -> Path:
    """`content` at `path`, with a sidecar that vouches for it."""
    artifact = written(path, "frames", FIXED)
    path.write_bytes(content)
    sidecar = sidecar_path(path)
    sidecar.write_text(sidecar.read_text().replace(artifact.sha256, hashlib.sha256(content).hexdigest()))
    return path

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from cgnet_deploy.artifact import Artifact
from cgnet_deploy.engines import builders
from cgnet_deploy.engines.build import build_plan
from cgnet_deploy.engines.builders import choose_builder
from cgnet_deploy.engines.gpu import Gpu
from cgnet_deploy.errors import EngineUnavailable, UserError

rtx = pytest.importorskip("tensorrt_rtx")


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

    monkeypatch.setattr(builders, "find_gpu", find_gpu)
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
    monkeypatch.setattr(builders, "find_gpu", lambda: Gpu("a card", "sm_75"))
    built = build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert built.architecture == built.artifact.made_with["architecture"] == "sm_75"
    assert built.artifact.sha256 != plan.sha256
    for other in ("sm_89", "sm_90"):  # the latter's plan is for another machine
        monkeypatch.setattr(builders, "find_gpu", lambda other=other: Gpu("a card", other))
        assert builders.rtx_target(rtx) == "portable"


def test_tensorrt_without_a_gpu_points_to_what_builds_without(
    tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_gpu() -> Gpu:
        raise EngineUnavailable("no GPU")

    monkeypatch.setattr(builders, "find_gpu", find_gpu)
    with pytest.raises(EngineUnavailable, match="TensorRT can't build here: no GPU; use --builder rtx, or --no-engine"):
        build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="tensorrt")

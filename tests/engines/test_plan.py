from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from cgnet_deploy.artifact import Artifact, sidecar_path
from cgnet_deploy.engines.gpu import Gpu
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.engines.plan import Plan, check_fits, read_plan
from cgnet_deploy.engines.trtapi import is_installed, load_api, rtx_architectures
from cgnet_deploy.errors import ArtifactError, EngineUnavailable, MissingPackage
from cgnet_deploy.files import sha256_of


def alter_sidecar(plan: Artifact, **fields: object) -> None:
    """Change what the sidecar says; its `sha256` stays right, whatever was done to the file."""
    sidecar = sidecar_path(plan.path)
    said = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(said | {"sha256": sha256_of(plan.path)} | fields))


def test_a_plan_is_what_its_sidecar_says(plan: Artifact) -> None:
    installed = pytest.importorskip("tensorrt_rtx").__version__
    assert read_plan(plan.path) == Plan(plan, "rtx", installed, "portable")
    assert plan.path.read_bytes()[:4] == b"vtrt"


@pytest.mark.parametrize("cut", [0, 10, 28, -1])
def test_a_cut_plan_is_refused(plan: Artifact, cut: int) -> None:
    plan.path.write_bytes(plan.path.read_bytes()[:cut])
    with pytest.raises(ArtifactError, match="cut or altered; export it again"):
        open_engine(str(plan.path))


@pytest.mark.parametrize("at", [0, 26, 1000, -1])
def test_an_altered_plan_is_refused(plan: Artifact, at: int) -> None:
    content = bytearray(plan.path.read_bytes())
    content[at] ^= 1
    plan.path.write_bytes(content)
    with pytest.raises(ArtifactError, match="sha256 differs"):
        open_engine(str(plan.path))


def test_a_plan_without_its_sidecar_is_refused(plan: Artifact) -> None:
    sidecar_path(plan.path).unlink()
    with pytest.raises(ArtifactError, match=r"has no sidecar tiny\.plan\.json"):
        open_engine(str(plan.path))


@pytest.mark.parametrize(
    "content", [b"", b"vtrt", b"vtrt" + bytes(23), bytes(range(256)) * 40], ids=["empty", "tag", "short", "other"]
)
def test_what_is_no_plan_is_refused_even_with_a_matching_sidecar(plan: Artifact, content: bytes) -> None:
    plan.path.write_bytes(content)
    alter_sidecar(plan)
    with pytest.raises(ArtifactError, match="is not a TensorRT plan; build it again with: cgnet-export"):
        open_engine(str(plan.path))


def test_a_plan_of_another_builder_than_the_sidecar_says_is_refused(plan: Artifact) -> None:
    content = plan.path.read_bytes()
    plan.path.write_bytes(b"ftrt" + content[4:])
    alter_sidecar(plan)
    with pytest.raises(ArtifactError, match=r"was written by tensorrt 1.*, its sidecar says rtx 1"):
        open_engine(str(plan.path))


def test_a_plan_of_another_version_than_the_sidecar_says_is_refused(plan: Artifact) -> None:
    alter_sidecar(plan, made_with=dict(plan.made_with) | {"tensorrt_rtx": "1.3.0.35"})
    with pytest.raises(ArtifactError, match=r"was written by rtx 1\.\d.*, its sidecar says rtx 1\.3\.0\.35"):
        open_engine(str(plan.path))


@pytest.mark.parametrize(
    "change", [{"tensorrt_rtx": None}, {"architecture": None}, {"tensorrt_rtx": "x"}, {"tensorrt_rtx": ""}], ids=str
)
def test_a_sidecar_that_does_not_say_what_built_the_plan_is_refused(
    plan: Artifact, change: dict[str, str | None]
) -> None:
    made_with = plan.made_with | change
    alter_sidecar(plan, made_with={tool: version for tool, version in made_with.items() if version is not None})
    with pytest.raises(ArtifactError, match="doesn't say what built it"):
        open_engine(str(plan.path))


def test_an_onnx_file_under_a_plans_name_is_refused(fixed_onnx: Artifact) -> None:
    with pytest.raises(ArtifactError, match="is an ONNX file, wanted a plan"):
        open_engine(f"trt:{fixed_onnx.path}")


def test_a_plan_for_this_machine_fits(plan: Artifact) -> None:
    card = Gpu("a card", "sm_89")
    check_fits(Plan(plan, "tensorrt", "10.13.3.9", "sm_89"), card, "10.13.3.9")
    check_fits(Plan(plan, "rtx", "1.7.1.116", "portable"), card, "1.7.1.116")


def test_a_plan_of_another_version_names_both_and_the_command(plan: Artifact) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        check_fits(Plan(plan, "tensorrt", "10.13.3.9", "sm_90"), Gpu("a card", "sm_90"), "11.1.0.106")
    assert str(caught.value) == (
        f"{plan.path} was built by tensorrt 10.13.3.9, and 11.1.0.106 is installed, which can't read it; build it "
        f"here again: cgnet-export --ckpt CHECKPOINT --fp32 --res 40x56 --builder tensorrt --engine {plan.path}"
    )


def test_a_plan_for_another_gpu_names_both_and_the_command(plan: Artifact) -> None:
    with pytest.raises(EngineUnavailable, match=r"for sm_90, and this GPU \(a card\) is sm_89; build it here again: c"):
        check_fits(Plan(plan, "tensorrt", "10.13.3.9", "sm_90"), Gpu("a card", "sm_89"), "10.13.3.9")


@pytest.mark.parametrize(
    ("built_for", "here", "words"),
    [
        ("portable", "sm_75", "was built for sm_86, sm_89, sm_120, and this GPU .* sm_75; build it here again"),
        ("sm_75", "sm_89", "was built for sm_75, and this GPU .* sm_89; build it here again"),
        ("portable", "sm_90", "doesn't run on this GPU .*, only on .*sm_120.* --builder tensorrt"),
        ("portable", "sm_80", "doesn't run on this GPU .*, only on .*sm_120.* --builder tensorrt"),
        ("portable", "sm_87", "doesn't run on this GPU .*, only on .*sm_120.* --builder tensorrt"),
    ],
)
def test_an_rtx_plan_says_what_helps_on_another_gpu(plan: Artifact, built_for: str, here: str, words: str) -> None:
    runs_on = rtx_architectures(pytest.importorskip("tensorrt_rtx"))
    with pytest.raises(EngineUnavailable, match=words):
        check_fits(Plan(plan, "rtx", "1.7.1", built_for), Gpu("a card", here), "1.7.1", runs_on)
    check_fits(Plan(plan, "rtx", "1.7.1", "sm_75"), Gpu("a card", "sm_75"), "1.7.1", runs_on)


def test_the_gpus_of_rtx_are_those_that_the_package_names_and_its_documentation_does_not_exclude() -> None:
    assert {"sm_75", "sm_86", "sm_89", "sm_120"} <= set(rtx_architectures(pytest.importorskip("tensorrt_rtx")))
    named = SimpleNamespace(__members__={"NONE": 0, "CURRENT": 1, "SM80": 80, "SM89": 89, "SM130": 130})
    trt = ModuleType("tensorrt_rtx")
    assert rtx_architectures(trt) == ("sm_75", "sm_86", "sm_89", "sm_120")  # releases that don't tell
    trt.ComputeCapability = named  # type: ignore[attr-defined]
    assert rtx_architectures(trt) == ("sm_75", "sm_86", "sm_89", "sm_120", "sm_130")


def test_a_jetson_is_told_that_its_tensorrt_comes_with_jetpack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(MissingPackage, match=r"on a Jetson, TensorRT comes with JetPack: .*--system-site-packages"):
        load_api("tensorrt")


@pytest.mark.parametrize("version", ["8.6.1", "10.0.1", "10.2.0", "10.2.0.19"])
def test_a_tensorrt_that_cannot_work_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__=version))
    with pytest.raises(EngineUnavailable, match=f"TensorRT {version} is .*, wanted 10.3 or later"):
        load_api("tensorrt")


def test_a_missing_tensorrt_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingPackage, match=r"cgnet-deploy\[trt\]"):
        load_api("tensorrt")


def test_stubs_alone_are_no_tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    assert not is_installed("tensorrt")
    with pytest.raises(MissingPackage, match=r"of it only its stubs are installed.*cgnet-deploy\[trt\]"):
        load_api("tensorrt")
    monkeypatch.delitem(sys.modules, "tensorrt")


def test_the_rebuild_command_leaves_out_what_is_open(plan: Artifact) -> None:
    alter_sidecar(plan, shape=[None, None, None], precision="f16")
    assert read_plan(plan.path).rebuild == (f"cgnet-export --ckpt CHECKPOINT --fp16 --builder rtx --engine {plan.path}")
    alter_sidecar(plan, shape=[4, 360, 480], precision="int8")
    assert "--int8 --res 360x480 --batch 4 --builder rtx" in read_plan(plan.path).rebuild

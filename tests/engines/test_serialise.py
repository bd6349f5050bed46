from __future__ import annotations

import gc
import hashlib
import logging
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import helper

from cgnet_deploy.artifact import Artifact, sidecar_path, write_artifact
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines import serialise, trtapi
from cgnet_deploy.engines.build import build_plan
from cgnet_deploy.engines.progress import watched
from cgnet_deploy.engines.serialise import ShapeRange
from cgnet_deploy.errors import ArtifactError, UsageError
from cgnet_deploy.spec import Precision
from tests.engines.graphs import DYNAMIC, FIXED, model, tensor, written

rtx = pytest.importorskip("tensorrt_rtx")


@pytest.mark.parametrize("half", [False, True])
def test_convolutions_are_counted_by_the_type_they_take(tmp_path: Path, half: bool) -> None:
    onnx = written(tmp_path / "a.onnx", "tensor", FIXED, half=half)
    built = build_plan(onnx.path, tmp_path / "a.plan", builder="rtx")
    assert built.convolutions == {"half" if half else "float": 1}
    assert built.artifact.precision is (Precision.F16 if half else Precision.F32)


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


@pytest.mark.parametrize(("level", "asked"), [(None, 3), (0, 0), (5, 5)])
def test_the_builder_is_asked_for_the_level(
    level: int | None, asked: int, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT for RTX has the setting too, and ignores it."""
    levels: list[int] = []

    def noted(trt: ModuleType, config: Any, label: str) -> AbstractContextManager[None]:
        levels.append(config.builder_optimization_level)
        return watched(trt, config, label)

    monkeypatch.setattr(serialise, "watched", noted)
    serialise.serialised(rtx, fixed_onnx, "a.plan", "portable", level, None, None, None)
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
        serialise._attach_timing_cache(config, path)
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

    monkeypatch.setattr(serialise, "new_log", new_log)
    build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert called_while_collecting
    assert not any(called_while_collecting)
    assert gc.isenabled()


def test_f32_is_not_rounded_to_tf32(tmp_path: Path, fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    flags: list[bool] = []

    def noted(trt: ModuleType, config: Any, label: str) -> AbstractContextManager[None]:
        flags.append(config.get_flag(rtx.BuilderFlag.TF32))
        return watched(trt, config, label)

    monkeypatch.setattr(serialise, "watched", noted)
    build_plan(fixed_onnx.path, tmp_path / "a.plan", builder="rtx")
    assert flags == [False]


def test_a_profile_that_tensorrt_refuses_is_an_error(tmp_path: Path) -> None:
    onnx = written(tmp_path / "a.onnx", "frames", DYNAMIC)
    config = SimpleNamespace(add_optimization_profile=lambda _: -1)
    sizes = ShapeRange(*[(1, 40, 56)] * 3)
    network = SimpleNamespace(get_input=lambda _: SimpleNamespace(name="frames"))
    builder = SimpleNamespace(create_optimization_profile=lambda: SimpleNamespace(set_shape=lambda *_: None))
    with pytest.raises(UsageError, match=r"doesn't fit .*a\.onnx: too odd"):
        serialise._add_profile(builder, config, network, onnx, sizes, SimpleNamespace(reason=lambda: "too odd"))


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

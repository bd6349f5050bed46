"""Each backend of the table keeps the engines' contract, on each kind of file that it runs.

A backend that this machine lacks something for is skipped with the reason that cgnet-doctor would give.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from onnx import helper

from cgnet_deploy.engines.backends import BACKENDS, TORCH, Backend
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.build import build_plan
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.engines.serialise import ShapeRange
from cgnet_deploy.errors import ArtifactError, CgnetError, UsageError
from tests.engines.contract import F16_ROUNDING, F32_ROUNDING, EngineContract
from tests.engines.graphs import model, tensor

BF16_ROUNDING = 0.06
ROUNDING = {
    "torch-graph": F16_ROUNDING,
    "torch-graph-max": F16_ROUNDING,
    "torch-fast-f16": F16_ROUNDING,
    "torch-compile-bf16": BF16_ROUNDING,
    "openvino-bf16": BF16_ROUNDING,
    "openvino-f16": F16_ROUNDING,
    "openvino-gpu": F16_ROUNDING,
    "openvino-npu": F16_ROUNDING,
    "native-bf16": BF16_ROUNDING,
}
NETWORKS = ("native", "native-bf16")  # run the network alone, and no other graph
FILES = {
    "checkpoint": ("drawn_checkpoint",),
    "onnx": ("tensor_onnx", "frames_onnx"),
    "plan": ("tensor_onnx", "frames_onnx"),
}


@cache
def missing(backend: Backend) -> str:
    try:
        backend.probe()
    except CgnetError as error:
        return str(error)
    return ""


CASES = [
    pytest.param(
        (backend, file),
        id=f"{backend.name}-{file}",
        marks=[pytest.mark.gpu] if backend.runtime.runs_on == "gpu" else [],
    )
    for backend in BACKENDS
    for file in (("network_onnx",) if backend.name in NETWORKS else FILES[backend.runtime.reads])
]


@pytest.mark.parametrize("case", CASES, scope="class", indirect=True)
class TestEveryBackend(EngineContract):
    backend: Backend

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def case(cls, request: pytest.FixtureRequest) -> Iterator[tuple[Backend, str]]:
        case: tuple[Backend, str] = request.param
        cls.backend, _ = case
        if why := missing(cls.backend):
            pytest.skip(why)
        with pytest.MonkeyPatch.context() as patch:
            if cls.backend.slow_start:  # minutes for each size: traced as it is, but not compiled
                patch.setattr(torch, "compile", lambda model, **_: torch._dynamo.optimize("eager")(model))
            yield case

    @pytest.fixture(scope="class")
    @classmethod
    def path(
        cls, case: tuple[Backend, str], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Path:
        backend, file = case
        path: Path = request.getfixturevalue(file)
        if file == "frames_onnx" and backend.runtime.reads == "onnx":
            try:
                cls().open(path).close()
            except UsageError as error:
                if "export it with --tensor-io" not in str(error):
                    raise
                pytest.skip(str(error))
        if backend.runtime.reads != "plan":
            return path
        sizes = ShapeRange((1, 40, 56), (2, 40, 56), (3, 72, 112))
        return build_plan(path, tmp_path_factory.mktemp("plan") / "tiny.plan", sizes=sizes).artifact.path

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, path: Path) -> Iterator[Engine]:
        with cls().open(path) as engine:
            yield engine

    def open(self, path: Path, batch: int | None = None) -> Engine:
        return open_engine(f"{self.backend.name}:{path}", batch=batch, threads=1)

    def on_gpu(self) -> bool:
        return self.backend.runtime.runs_on == "gpu" or (self.backend.runtime is TORCH and torch.cuda.is_available())

    def rounding(self) -> float:
        return ROUNDING.get(self.backend.name, F32_ROUNDING)


@pytest.mark.parametrize(
    "backend", [backend for backend in BACKENDS if backend.runtime.runs_on != "gpu"], ids=lambda b: b.name
)
def test_only_what_is_missing_is_skipped(backend: Backend) -> None:
    why = missing(backend)
    if all(find_spec(name) for name in backend.runtime.imports):
        assert not why or re.search(r"this CPU has no b?f16|OpenVINO finds no [GN]PU here", why)
    else:
        assert "pip install 'cgnet-deploy[" in why


@pytest.mark.parametrize("backend", [one for one in BACKENDS if one.runtime.reads == "onnx"], ids=lambda one: one.name)
def test_what_a_runtime_cannot_run_is_one_line(backend: Backend, tmp_path: Path) -> None:
    if why := missing(backend):
        pytest.skip(why)
    node = helper.make_node("Odd", ["input"], ["logits"], domain="nowhere")
    odd = model([node], [tensor("input", "FLOAT", 1, 3, 40, 56)], [tensor("logits", "FLOAT", 1, 11, 40, 56)], {})
    odd.opset_import.append(helper.make_opsetid("nowhere", 1))
    path = tmp_path / "odd.onnx"
    path.write_bytes(odd.SerializeToString())
    with pytest.raises(ArtifactError, match=r"can't (run|convert|load) .*odd\.onnx") as caught:
        open_engine(f"{backend.name}:{path}")
    assert "\n" not in str(caught.value)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from cgnet_deploy.engines import ort
from cgnet_deploy.engines.gpu import Gpu
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import EngineUnavailable

onnxruntime = pytest.importorskip("onnxruntime")


def test_the_provider_is_the_one_that_runs(frames_onnx: Path) -> None:
    with open_engine(str(frames_onnx)) as engine:
        assert engine.info.backend == "onnxruntime"
        assert engine.info.provider == "CPUExecutionProvider"


def test_cuda_is_refused_where_this_onnx_runtime_has_none(frames_onnx: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(EngineUnavailable, match=r"has no CUDAExecutionProvider, only .*CPUExecutionProvider"):
        open_engine(f"ort-cuda:{frames_onnx}")


def test_a_fall_back_to_the_cpu_is_refused(frames_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where CUDA is in the package but not on the machine: it is offered, and the CPU comes."""
    monkeypatch.setattr(ort, "find_gpu", lambda: Gpu("a card", "sm_90"))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    if "CUDAExecutionProvider" in onnxruntime.capi._pybind_state.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(EngineUnavailable, match="but runs CPUExecutionProvider"),
    ):
        open_engine(f"ort-cuda:{frames_onnx}")


def no_driver() -> NoReturn:
    """As cuda-bindings up to 12.8 where there is no driver."""
    raise RuntimeError("Failed to dlopen libcuda.so")


def too_old() -> tuple[object, None]:
    """As cuda-python 13 under a driver of CUDA 12."""
    return SimpleNamespace(name="cudaErrorInsufficientDriver"), None


@pytest.mark.parametrize("create", [no_driver, too_old])
def test_a_cuda_python_that_does_not_fit_the_driver_takes_only_the_clock(
    create: Callable[[], object], frames_onnx: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The session is made by a stand-in that keeps what it was asked for."""
    cudart = SimpleNamespace(cudaError_t=SimpleNamespace(cudaSuccess=0), cudaStreamCreate=create)
    asked: list[tuple[str, dict[str, str]]] = []

    def session(*_: object, providers: list[tuple[str, dict[str, str]]], **__: object) -> SimpleNamespace:
        asked.extend(providers)
        end = SimpleNamespace(name="an end")
        return SimpleNamespace(
            get_providers=lambda: ["CUDAExecutionProvider"], get_inputs=lambda: [end], get_outputs=lambda: [end]
        )

    monkeypatch.setattr(ort, "find_gpu", lambda: Gpu("a card", "sm_90"))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(ort, "require", lambda name, extra: cudart if name.startswith("cuda") else onnxruntime)
    with open_engine(f"ort-cuda:{frames_onnx}") as engine, pytest.raises(EngineUnavailable, match="no clock"):
        engine.device_ns()
    assert "running without a clock of the GPU's: " in caplog.text
    assert asked == [("CUDAExecutionProvider", {"use_tf32": "0"})]  # f32 is f32


def test_without_a_gpu_cuda_says_so(frames_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> NoReturn:
        raise EngineUnavailable("no NVIDIA GPU")

    monkeypatch.setattr(ort, "find_gpu", missing)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(EngineUnavailable, match="no NVIDIA GPU"):
        open_engine(f"ort-cuda:{frames_onnx}")

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from cgnet_deploy.engines import ort
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
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    if "CUDAExecutionProvider" in onnxruntime.capi._pybind_state.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(EngineUnavailable, match="but runs CPUExecutionProvider"),
    ):
        open_engine(f"ort-cuda:{frames_onnx}")


def test_cuda_that_cannot_start_is_an_error(frames_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the packages are installed and the driver isn't."""
    cudart = SimpleNamespace(
        cudaError_t=SimpleNamespace(cudaSuccess=0),
        cudaStreamCreate=lambda: (SimpleNamespace(name="cudaErrorInsufficientDriver"), None),
    )
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ort, "require", lambda name, extra: cudart if name.startswith("cuda") else onnxruntime)
    with pytest.raises(EngineUnavailable, match="CUDA can't start here: CUDA: cudaErrorInsufficientDriver"):
        open_engine(f"ort-cuda:{frames_onnx}")

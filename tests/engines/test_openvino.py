from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cgnet_deploy.engines.backends import BY_NAME
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.engines.openvino import OpenVinoEngine, shared_core
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.spec import Res
from tests.engines.graphs import drawn_frames

openvino = pytest.importorskip("openvino")


def test_f32_is_f32_also_where_the_cpu_has_bf16(frames_onnx: Path) -> None:
    with open_engine(f"openvino:{frames_onnx}") as engine:
        assert engine.info.provider == "CPU f32"


def test_it_is_compiled_for_just_the_sizes_it_was_opened_for(frames_onnx: Path) -> None:
    """What OpenVINO knows when it compiles, it needn't find out at each run."""
    engine = open_engine(f"openvino:{frames_onnx}", res=Res(40, 56), batch=2)
    assert isinstance(engine, OpenVinoEngine)
    assert engine._request.model_inputs[0].partial_shape.to_string() == "[2,40,56,3]"


def test_bf16_runs_or_is_refused_but_never_replaced(tensor_onnx: Path) -> None:
    """With AVX-512 alone OpenVINO 2026.4 runs it, though it doesn't name bf16 among the CPU's capabilities."""
    frames = drawn_frames(1, 40, 56)
    try:
        engine = open_engine(f"openvino-bf16:{tensor_onnx}")
    except EngineUnavailable:
        assert "BF16" not in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        with pytest.raises(EngineUnavailable, match="runs f32 on this CPU, which has no bf16"):
            open_engine(f"openvino-bf16:{tensor_onnx}")
        return
    with engine:
        assert engine.info.provider == "CPU bf16"
        assert engine.infer(frames).shape == (1, 40, 56)


# What Intel's plugin for GPUs lets one set, of what an engine sets: compiled_model.cpp and plugin.cpp of OpenVINO 2025.
OF_A_GPU = {"PERFORMANCE_HINT": "RW", "INFERENCE_PRECISION_HINT": "RW", "PERF_COUNT": "RW", "ENABLE_CPU_PINNING": "RW"}


class CoreWithGpu:
    """OpenVINO's Core, as on a machine with two GPUs; the CPU computes in their place, in f32."""

    def __init__(self) -> None:
        self.core = shared_core()
        self.available_devices = ["CPU", "GPU.0", "GPU.1"]
        self.read_model = self.core.read_model

    def get_property(self, device: str, name: str) -> Any:
        said = {
            "SUPPORTED_PROPERTIES": OF_A_GPU,
            "OPTIMIZATION_CAPABILITIES": ["FP32", "BIN", "FP16", "INT8", "EXPORT_IMPORT"],
            "FULL_DEVICE_NAME": "Intel(R) Arc(TM) A770 Graphics (dGPU)",
        }
        return said[name] if device == "GPU" else self.core.get_property(device, name)

    def compile_model(self, model: Any, device: str, settings: Mapping[str, str]) -> Compiled:
        if unknown := set(settings) - set(OF_A_GPU):
            raise RuntimeError(f"[GPU] Unsupported property {unknown.pop()}")
        assert device == "GPU"
        on_cpu = {**settings, "INFERENCE_PRECISION_HINT": "f32"}
        return Compiled(self.core.compile_model(model, "CPU", on_cpu), settings["INFERENCE_PRECISION_HINT"])


class Compiled:
    def __init__(self, compiled: Any, arithmetic: str) -> None:
        self.create_infer_request = compiled.create_infer_request
        self.arithmetic = arithmetic

    def get_property(self, name: str) -> Any:
        assert name == "INFERENCE_PRECISION_HINT"
        return getattr(openvino.Type, self.arithmetic)


def test_a_gpu_is_given_only_the_settings_that_it_takes(frames_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not yet run on Intel's GPU."""
    frames = drawn_frames(1, 40, 56)
    with open_engine(f"openvino:{frames_onnx}") as on_cpu:
        wanted = on_cpu.infer(frames)
    monkeypatch.setattr("cgnet_deploy.engines.openvino.shared_core", CoreWithGpu)
    assert "GPU.0, GPU.1 (Intel(R) Arc(TM) A770" in BY_NAME["openvino-gpu"].probe()
    with open_engine(f"openvino-gpu:{frames_onnx}", threads=1, cache=True) as engine:
        assert engine.info.provider == "GPU f16"
        assert np.array_equal(engine.infer(frames), wanted)


@pytest.mark.parametrize("device", ["GPU", "NPU"])
def test_a_device_that_is_not_there_is_named(device: str, frames_onnx: Path) -> None:
    if any(name.startswith(device) for name in shared_core().available_devices):
        pytest.skip(f"this machine has a {device}")
    wanted = f"OpenVINO finds no {device} here, only CPU; an Intel {device} needs its driver"
    backend = BY_NAME[f"openvino-{device.lower()}"]
    for ask in (backend.probe, lambda: open_engine(f"{backend.name}:{frames_onnx}")):
        with pytest.raises(EngineUnavailable, match=wanted):
            ask()


def test_a_signal_is_survived_when_engines_are_gone(frames_onnx: Path) -> None:
    """In a process of its own: if it isn't, that process ends with SIGSEGV."""
    code = f"""
import os, signal, threading
from cgnet_deploy.engines.open import open_engine
signal.signal(signal.SIGUSR1, lambda *_: print("survived"))
first, second = (open_engine("openvino:{frames_onnx}", threads=1) for _ in range(2))
del first
other = threading.Thread(target=second.close)
del second
other.start()
other.join()
del other
os.kill(os.getpid(), signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr

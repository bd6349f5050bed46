from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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

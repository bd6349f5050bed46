"""What one runtime can do here, found out in a process of its own: importing a broken package may kill it.

Run as: python -m cgnet_deploy.doctor.probe NAME. It prints one JSON object: {"can": ..., "found": ...}.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from cgnet_deploy.engines.gpu import find_gpu
from cgnet_deploy.engines.openvino import shared_core
from cgnet_deploy.engines.trtapi import Builder, create, load_api, new_log, no_collection
from cgnet_deploy.errors import CgnetError, EngineUnavailable, MissingPackage, one_line, require

TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Finding:
    """part: what a user would want to do. found: versions and devices, or what is missing. todo: empty if `can`."""

    part: str
    can: bool
    found: str
    todo: str = ""


def torch() -> str:
    torch = require("torch", extra="export")
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return f"torch {torch.__version__}; CPU, {cuda}"


def ort() -> str:
    runtime = require("onnxruntime", extra="ort")
    return f"onnxruntime {runtime.__version__}; {', '.join(runtime.get_available_providers())}"


def ort_cuda() -> str:
    gpu = find_gpu()
    runtime = require("onnxruntime", extra="gpu")
    if "CUDAExecutionProvider" not in runtime.get_available_providers():
        raise MissingPackage("this onnxruntime has no CUDA; install it with: pip install 'cgnet-deploy[gpu]'")
    return f"onnxruntime {runtime.__version__} on {gpu.name}"


def openvino() -> str:
    runtime = require("openvino", extra="openvino")
    core = shared_core()
    cpu = core.get_property("CPU", "FULL_DEVICE_NAME").strip()
    return f"openvino {runtime.__version__.split('-')[0]}; {', '.join(core.available_devices)} ({cpu})"


def openvino_bf16() -> str:
    able = shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in able:
        raise EngineUnavailable(f"this CPU has no bf16 (it has {', '.join(able)})")
    return "bf16 in this CPU"


def build(builder: Builder) -> str:
    """What makes plans, started: TensorRT needs a GPU to start on, TensorRT for RTX needs none."""
    if builder == "tensorrt":
        find_gpu()
    trt = load_api(builder)
    with no_collection():
        create(trt.Builder, new_log(trt))
    return f"{trt.__name__} {trt.__version__}"


def run_plan() -> str:
    gpu = find_gpu()
    require("pycuda", extra="trt")
    found = []
    for builder in ("tensorrt", "rtx"):
        try:
            trt = load_api(builder)
            found.append(f"{trt.__name__} {trt.__version__}")
        except CgnetError as error:
            reason = error
    if not found:
        raise reason
    return f"{', '.join(found)} on {gpu.name} ({gpu.architecture})"


PROBES: dict[str, tuple[str, Callable[[], str]]] = {
    "torch": ("run checkpoints (PyTorch), export", torch),
    "ort": ("run ONNX files (ONNX Runtime), verify an export", ort),
    "ort-cuda": ("run ONNX files on a GPU (ort-cuda:)", ort_cuda),
    "openvino": ("run ONNX files (openvino:)", openvino),
    "openvino-bf16": ("run ONNX files in bf16 (openvino-bf16:)", openvino_bf16),
    "tensorrt": ("build plans with TensorRT", lambda: build("tensorrt")),
    "rtx": ("build plans with TensorRT for RTX", lambda: build("rtx")),
    "plan": ("run plans", run_plan),
}
RUNNING = ("torch", "ort", "ort-cuda", "openvino", "openvino-bf16", "plan")


def probe(name: str) -> Finding:
    """The finding of PROBES[name], asked in a new process."""
    part, _ = PROBES[name]
    boot = "import sys; sys.path = [p for p in sys.path if p]; from cgnet_deploy.doctor.probe import main; main()"
    try:
        asked = subprocess.run(
            [sys.executable, "-c", boot, name], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        answer = json.loads(asked.stdout.splitlines()[-1])
        return Finding(part, bool(answer["can"]), str(answer["found"]), str(answer["todo"]))
    except subprocess.TimeoutExpired:
        return Finding(part, False, f"hangs: no answer in {TIMEOUT_S} s", "install it again")
    except (ValueError, IndexError, KeyError):
        said = one_line("\n".join(asked.stderr.strip().splitlines()[-1:]) or "it said nothing")
        return Finding(part, False, f"crashes (code {asked.returncode}): {said}", "install it again")


def main() -> None:
    _, ask = PROBES[sys.argv[1]]
    try:
        answer = {"can": True, "found": ask(), "todo": ""}
    except CgnetError as error:
        found, _, todo = str(error).partition("install it with: ")
        if found.startswith("no NVIDIA GPU"):
            todo = "needs an NVIDIA GPU and its driver"
        answer = {"can": False, "found": found.rstrip("; "), "todo": todo}
    print(json.dumps(answer))

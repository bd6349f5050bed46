"""ncnn on the CPU, in f32, from the ONNX file that pnnx converts: a peer to compare with.

ncnn takes one image at a time, so a batch runs image by image, and its files hold one size, so a file that leaves the
size open is converted again for frames of another size. ncnn's half types are off: it computes what the others do.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cgnet_deploy.artifact import Shape
from cgnet_deploy.engines.base import Ends, Engine, EngineInfo, GraphEngine, shape_text
from cgnet_deploy.engines.onnxfile import OnnxFile, requested
from cgnet_deploy.engines.request import Request
from cgnet_deploy.errors import ArtifactError, CgnetError, UsageError, last_line, require
from cgnet_deploy.files import scratch
from cgnet_deploy.pixels import U8

MAX_CONVERSION_S = 300
EXTRA = "peers"
HALF_TYPES = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage")


def open(request: Request) -> Engine:
    return NcnnEngine(*requested(request), threads=request.threads)


def probe() -> str:
    ncnn, _ = require("ncnn", extra=EXTRA), require("pnnx", extra=EXTRA)
    return f"ncnn {ncnn.__version__}"


class NcnnEngine(GraphEngine):
    """An ONNX file from a normalised tensor to logits in ncnn. shape: the (N, H, W) to take."""

    def __init__(self, file: OnnxFile, shape: Shape, *, threads: int | None = None) -> None:
        self._ncnn, self._pnnx = require("ncnn", extra=EXTRA), require("pnnx", extra=EXTRA)
        if file.ends != Ends.of("tensor") or file.shape[0] not in (None, 1):
            raise UsageError(
                f"ncnn takes tensors of one image; {file.path} takes {file.ends.takes.removesuffix('s')}s, "
                f"{shape_text(file.shape)}, and gives {file.ends.gives}: export it with --tensor-io and without --batch"
            )
        self._ends, self._file, self._threads = file.ends, file, threads
        self._net: Any = None
        self._size: tuple[int, int] | None = None  # (H, W) of `_net`
        self.info = EngineInfo("ncnn", "CPU f32", file.precision, file.spec, shape, file.sha256, file.assumed)
        _, h, w = shape
        if h and w:
            self._bind((h, w))

    def _bind(self, size: tuple[int, int]) -> None:
        """Make the network for images of (H, W)."""
        self.close()
        net = self._ncnn.Net()
        for name in HALF_TYPES:
            setattr(net.opt, f"use_{name}", False)
        if self._threads is not None:
            net.opt.num_threads = self._threads
        with scratch("ncnn") as folder:
            parameters, weights = converted(self._pnnx, self._file, size, folder)
            if net.load_param(str(parameters)) or net.load_model(str(weights)):
                raise ArtifactError(f"ncnn can't load what pnnx made of {self._file.path}")
        self._net, self._size = net, size

    def _load(self, frames: U8) -> None:
        _, h, w, _ = frames.shape
        if self._size != (h, w):
            self._bind((h, w))
        self._inputs = [self._ncnn.Mat(image).clone() for image in self._prepared(frames)]

    def enqueue(self) -> None:
        self._outputs = [self._extracted(image) for image in self._inputs]

    def _extracted(self, image: Any) -> Any:
        extractor = self._net.create_extractor()
        if extractor.input("in0", image):
            raise CgnetError("ncnn doesn't take this input")
        failed, output = extractor.extract("out0")
        if failed:
            raise CgnetError("ncnn can't run this network")
        return output

    def sync(self) -> None:
        """Nothing to wait for: `enqueue` returns when it is done."""

    def _output(self) -> Any:
        return np.stack([np.asarray(output) for output in self._outputs])

    def close(self) -> None:
        if self._net is not None:
            self._net.clear()
        self._net = self._size = None


def converted(pnnx: ModuleType, file: OnnxFile, size: tuple[int, int], folder: Path) -> tuple[Path, Path]:
    """ncnn's two files, written into `folder`: the parameters and the weights. Raises ArtifactError if pnnx can't."""
    source = folder / "cgnet.onnx"
    source.write_bytes(file.content)
    command = [pnnx.EXEC_PATH, source.name, f"inputshape=[1,3,{size[0]},{size[1]}]", "fp16=0"]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=MAX_CONVERSION_S
    )
    parameters, weights = (source.with_suffix(f".ncnn.{kind}") for kind in ("param", "bin"))
    if ran.returncode or not (parameters.exists() and weights.exists()):
        raise ArtifactError(f"pnnx can't convert {file.path}: {last_line(ran.stderr or ran.stdout)}")
    return parameters, weights

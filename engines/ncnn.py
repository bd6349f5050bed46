"""ncnn on the CPU, in f32, from the ONNX file that pnnx converts: a peer to compare with.

ncnn takes one image of a fixed size. Its half types are off, so that it computes what the others do.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from cgnet_deploy.artifact import Shape
from cgnet_deploy.engines.argmax import labels_of
from cgnet_deploy.engines.base import Engine, EngineInfo
from cgnet_deploy.engines.onnxfile import OnnxFile
from cgnet_deploy.errors import ArtifactError, UsageError, one_line, require
from cgnet_deploy.pixels import F32, U8, to_tensor

MAX_CONVERSION_S = 300


class NcnnEngine(Engine):
    """An ONNX file from planes to logits in ncnn. shape: the (1, H, W) to take."""

    def __init__(self, file: OnnxFile, shape: Shape, *, threads: int | None = None) -> None:
        ncnn, converter = require("ncnn", extra="peers"), require("pnnx", extra="peers")
        if file.io != "tensor" or shape[0] != 1 or None in shape:
            raise UsageError(
                f"ncnn takes one image of a fixed size, and planes, not frames; {file.path} takes {file.io}, "
                f"NxHxW = {shape}: export it with --tensor-io --batch 1, or give --res and --batch 1"
            )
        self._mat, self._net = ncnn.Mat, ncnn.Net()
        options = self._net.opt
        for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
            setattr(options, f"use_{name}", False)
        if threads is not None:
            options.num_threads = threads
        with tempfile.TemporaryDirectory(prefix="cgnet-ncnn-") as folder:
            source = Path(folder) / "cgnet.onnx"
            source.write_bytes(file.content)
            size = "[" + ",".join(str(side) for side in (1, 3, *shape[1:])) + "]"
            ran = subprocess.run(
                [converter.EXEC_PATH, source.name, f"inputshape={size}", "fp16=0"],
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=MAX_CONVERSION_S,
            )
            parts = [source.with_suffix(f".ncnn.{kind}") for kind in ("param", "bin")]
            if ran.returncode or not all(part.exists() for part in parts):
                last = (ran.stderr or ran.stdout).strip().splitlines()[-1:]
                raise ArtifactError(f"pnnx can't convert {file.path}: {one_line(''.join(last))}")
            if self._net.load_param(str(parts[0])) or self._net.load_model(str(parts[1])):
                raise ArtifactError(f"ncnn can't load what pnnx made of {file.path}")
        self.info = EngineInfo("ncnn", "CPU f32", file.precision, file.spec, shape, file.sha256)

    def _load(self, frames: U8) -> None:
        planes = np.ascontiguousarray(to_tensor(frames, self.info.spec.input)[0])
        self._input = self._mat(planes).clone()

    def enqueue(self) -> None:
        extractor = self._net.create_extractor()
        if extractor.input("in0", self._input):
            raise ArtifactError("ncnn doesn't take this input")
        failed, self._output = extractor.extract("out0")
        if failed:
            raise ArtifactError("ncnn can't run this network")

    def sync(self) -> None:
        """Nothing to wait for: `enqueue` returns when it is done."""

    def fetch(self) -> U8:
        return labels_of(np.asarray(self._output)[None])

    def logits(self, frames: U8) -> F32:
        self.load(frames)
        self.enqueue()
        return np.array(np.asarray(self._output)[None], np.float32)  # a copy: the memory is ncnn's

    def close(self) -> None:
        self._net.clear()

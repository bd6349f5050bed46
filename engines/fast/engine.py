"""PyTorch's weights by our own kernels: f32 or f16, the network in one CUDA graph for each shape.

Not yet run on a GPU. Before an engine is handed out it computes a drawn picture and is held to the plain network, so
that a kernel that doesn't compile there, doesn't fit, or errs shows at once, with the plain engine to fall back to.
Without a GPU it runs where Triton's interpreter was asked for (TRITON_INTERPRET=1): slow, and for tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from cgnet_deploy.artifact import Shape
from cgnet_deploy.checkpoint.reading import Checkpoint
from cgnet_deploy.engines.base import Engine, EngineInfo
from cgnet_deploy.engines.checkpoints import requested
from cgnet_deploy.engines.fast.fold import fold, stored
from cgnet_deploy.engines.fast.network import FastNetwork
from cgnet_deploy.engines.fast.tiles import Tiles, usual
from cgnet_deploy.engines.request import Request
from cgnet_deploy.engines.torchgraph import record
from cgnet_deploy.engines.torchtiming import event_ns
from cgnet_deploy.errors import EngineUnavailable, FrameError, one_line
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.spec import Precision

DTYPES = {Precision.F32: torch.float32, Precision.F16: torch.float16}
# Largest error of a score, in units of the largest score. On random weights f32 errs by 3e-7 and f16 by 1e-3.
ALLOWED = {Precision.F32: 1e-4, Precision.F16: 2e-2}
NO_GPU = "no CUDA device for the fast path; torch:FILE runs on a CPU"
CHECKED = (1, 67, 35)  # of the drawn picture: odd sides, and more than one tile at each stage


def open(request: Request, *, precision: Precision) -> Engine:
    return FastEngine(requested(request), request.shape, precision=precision)


def probe(*, precision: Precision) -> str:
    if not torch.cuda.is_available():
        raise EngineUnavailable(NO_GPU)
    return f"triton {triton.__version__}; {precision.value} on {torch.cuda.get_device_name()}"


class FastEngine(Engine):
    """A checkpoint by our own kernels.

    shape: the (N, H, W) to take. tiles: how each kernel's work is cut, the usual ones if None.
    Raises EngineUnavailable where there is no CUDA, or where what runs there is not the network.
    """

    def __init__(
        self, checkpoint: Checkpoint, shape: Shape, *, precision: Precision, tiles: Tiles | None = None
    ) -> None:
        self._cuda = torch.cuda.is_available()
        if not self._cuda and not triton.knobs.runtime.interpret:
            raise EngineUnavailable(NO_GPU)
        self._device = torch.device("cuda" if self._cuda else "cpu")
        self._dtype = DTYPES[precision]
        self._tiles = tiles or usual(self._dtype)
        weights = stored(fold(checkpoint.model, checkpoint.spec.input), self._dtype, self._device)
        where = torch.cuda.get_device_name() if self._cuda else "cpu, interpreted"
        provider = f"{where}, Triton {triton.__version__}" + ", CUDA graph" * self._cuda
        self._weights = weights
        self._network: FastNetwork | None = None
        self._run: Callable[[], object] = self._loaded
        self.info = EngineInfo(
            "torch-fast", provider, precision, checkpoint.spec, (None, None, None), checkpoint.sha256
        )
        try:
            self._check(checkpoint)
        except EngineUnavailable:
            raise
        except Exception as error:  # whatever Triton, ptxas or the driver raise where a kernel doesn't compile or fit
            raise EngineUnavailable(f"the fast path doesn't run here: {one_line(error)}") from error
        self.info = replace(self.info, shape=shape)

    def _check(self, checkpoint: Checkpoint) -> None:
        """Raise EngineUnavailable if the scores of a drawn picture are not those of the plain network on the CPU."""
        picture = np.random.default_rng(0).integers(0, 256, (*CHECKED, 3)).astype(np.uint8)
        with torch.inference_mode():
            wanted = checkpoint.model(torch.from_numpy(to_tensor(picture, checkpoint.spec.input)))
        got = torch.from_numpy(self.logits(picture))
        error = float((got - wanted).abs().max() / wanted.abs().max())
        if not error <= ALLOWED[self.info.precision]:  # a NaN is not
            raise EngineUnavailable(
                f"the fast path in {self.info.precision.value} is off by {error:.1e} of the largest score, allowed is "
                f"{ALLOWED[self.info.precision]:.0e}: does the network leave the range of f16?"
            )

    def _load(self, frames: U8) -> None:
        n, h, w, _ = frames.shape
        if self._network is None or self._network.frames.shape[:3] != (n, h, w):
            self._prepare((n, h, w))
        network = self._loaded()
        self._staging.copy_(torch.from_numpy(np.ascontiguousarray(frames)))
        network.frames.copy_(self._staging)  # blocking: the staging buffer is free again when this returns

    def _prepare(self, shape: tuple[int, int, int]) -> None:
        """Buffers for one shape, in place of the last one's, and on a GPU the graph that runs on them."""
        self.close()
        network = FastNetwork(self._weights, shape, self._dtype, self._device, self._tiles)
        self._staging = torch.empty(network.frames.shape, dtype=torch.uint8, pin_memory=self._cuda)
        self._run = network.run
        if self._cuda:
            network.frames.zero_()
            self._run = record(network.run)  # its first run compiles, which can't be captured
        self._network = network

    def enqueue(self) -> None:
        self._run()

    def sync(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()

    def device_ns(self) -> int:
        return event_ns(self.enqueue) if self._cuda else super().device_ns()

    def fetch(self) -> U8:
        labels: U8 = self._loaded().labels.cpu().numpy()
        return labels if self._cuda else labels.copy()

    def logits(self, frames: U8) -> F32:
        self.load(frames)
        self.enqueue()
        network = self._loaded()
        size = network.labels.shape[1:]
        logits: Tensor = F.interpolate(network.scores, size=size, mode="bilinear", align_corners=False)
        array: F32 = logits.cpu().numpy()
        return array

    def close(self) -> None:
        """Give back the buffers and the graph; the next frames bring new ones."""
        self._network = None
        self._run = self._loaded

    def _loaded(self) -> FastNetwork:
        if self._network is None:
            raise FrameError("no frames are loaded: call `load` first")
        return self._network

"""PyTorch, straight from a checkpoint: on the GPU if CUDA is there, else on the CPU. The reference.

Convolutions take f32 as it is, which cuDNN, left alone, rounds to TF32 with its 11 bits.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from cgnet_deploy.artifact import Shape
from cgnet_deploy.checkpoint.reading import Checkpoint
from cgnet_deploy.engines.base import WARM_RUNS, Engine, EngineInfo, Layer
from cgnet_deploy.engines.checkpoints import requested
from cgnet_deploy.engines.fast.choice import fast_or_none
from cgnet_deploy.engines.request import Request
from cgnet_deploy.engines.torchtiming import event_ns, profile_modules
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.model import without_tiny
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.spec import Precision


def open(request: Request, *, compiled: bool = False, bf16: bool = False) -> Engine:
    checkpoint = requested(request)
    if not request.chosen and not request.profile and (fast := fast_or_none(checkpoint, request.shape)):
        return fast
    return TorchEngine(checkpoint, request.shape, threads=request.threads, compiled=compiled, bf16=bf16)


def probe() -> str:
    return f"torch {torch.__version__}; CPU, {torch.cuda.get_device_name() if torch.cuda.is_available() else 'no CUDA'}"


def exact() -> AbstractContextManager[None]:
    """Convolutions in f32 rather than TF32, whatever else is set stays."""
    cudnn = torch.backends.cudnn
    flags: AbstractContextManager[None] = cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    )
    return flags


class TorchEngine(Engine):
    """A checkpoint in PyTorch, in f32.

    shape: the (N, H, W) to take. threads: of the process, which is all that PyTorch offers. compiled: by
    torch.compile, at the first inference. bf16: let autocast run what it deems safe in bfloat16.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        shape: Shape,
        *,
        threads: int | None = None,
        compiled: bool = False,
        bf16: bool = False,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._cuda = torch.cuda.is_available()
        self._device = torch.device("cuda" if self._cuda else "cpu")
        provider = torch.cuda.get_device_name() if self._cuda else "cpu"
        # torch's stubs leave out memory_format, which Module.to documents
        self._model = without_tiny(checkpoint.model).eval().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:
            self._model = torch.compile(self._model)
        self._autocast = torch.autocast(self._device.type, torch.bfloat16, enabled=bf16)
        provider += " compiled" * compiled + " bf16" * bf16
        self.info = EngineInfo("torch", provider, Precision.F32, checkpoint.spec, shape, checkpoint.sha256)

    def _load(self, frames: U8) -> None:
        tensor = torch.from_numpy(to_tensor(frames, self.info.spec.input))
        self._input = tensor.to(self._device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def enqueue(self) -> None:
        with self._autocast, exact():
            self._labels = self._model(self._input).argmax(1).to(torch.uint8)

    @torch.inference_mode()
    def logits(self, frames: U8) -> F32:
        self.load(frames)
        with self._autocast, exact():
            logits: F32 = self._model(self._input).float().cpu().numpy()
        return logits

    def sync(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()

    def device_ns(self) -> int:
        return event_ns(self.enqueue) if self._cuda else super().device_ns()

    def profile(self, frames: U8, runs: int) -> tuple[Layer, ...]:
        if isinstance(self._model, torch._dynamo.OptimizedModule):
            raise EngineUnavailable("what torch.compile makes has no layers; profile it as torch:FILE")
        self.load(frames)
        with torch.inference_mode(), self._autocast, exact():
            return profile_modules(self._model, self._input, WARM_RUNS, runs)

    def fetch(self) -> U8:
        labels: U8 = self._labels.cpu().numpy()
        return labels

"""PyTorch on an NVIDIA GPU as it goes without kernels of our own: f16, channels last, one CUDA graph from frames to
labels; compiled, with every kernel that torch.compile's max-autotune picks. Not yet run on a GPU.

What a TensorRT plan has inside is inside here too: u8 frames (N, H, W, 3) BGR lie in device memory, the graph brings
them into the network's colour order and scale in f32, runs the network in f16 and leaves u8 labels (N, H, W). BatchNorm
keeps its numbers in f32, as in PyTorch's own mixed precision: a variance needs more range than f16 has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from cgnet_deploy.artifact import Shape
from cgnet_deploy.checkpoint.reading import Checkpoint
from cgnet_deploy.engines.base import WARM_RUNS, Engine, EngineInfo, Layer
from cgnet_deploy.engines.checkpoints import requested
from cgnet_deploy.engines.request import Request
from cgnet_deploy.engines.torchtiming import event_ns, profile_kernels
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import InputSpec, Precision

DEVICE = "cuda"
SETTLING_RUNS = 3  # before a capture: cuDNN chooses its kernels, a compiler compiles


def open(request: Request, *, compiled: bool = False) -> Engine:
    return TorchGraphEngine(requested(request), request.shape, compiled=compiled)


def probe() -> str:
    check_gpu()
    return f"torch {torch.__version__}; {torch.cuda.get_device_name()}"


def check_gpu() -> None:
    if not torch.cuda.is_available():
        raise EngineUnavailable("PyTorch sees no NVIDIA GPU; this backend runs on one only, torch:FILE anywhere")


class FramesToLabels(nn.Module):
    """(N, H, W, 3) u8 BGR -> (N, H, W) u8: `pixels.to_tensor`, the network in f16, argmax."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, spec: InputSpec) -> None:
        super().__init__()
        self.model = model.half().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.float()
        self.swapped = spec.color == "rgb"
        self.register_buffer("mean", torch.tensor(spec.mean), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        ordered = frames.flip(-1) if self.swapped else frames
        tensor = ((ordered.float() - self.mean) / self.std).half().permute(0, 3, 1, 2)  # channels last already
        labels: Tensor = self.model(tensor).argmax(1).to(torch.uint8)
        return labels


class TorchGraphEngine(Engine):
    """A checkpoint in f16 on GPU 0, replayed from a CUDA graph. shape: the (N, H, W) to take.

    compiled: by torch.compile in mode max-autotune, which takes minutes for each new size; its own graphs are left
    out, since everything is recorded here. Raises EngineUnavailable where PyTorch sees no GPU.
    """

    def __init__(self, checkpoint: Checkpoint, shape: Shape, *, compiled: bool = False) -> None:
        check_gpu()
        network = FramesToLabels(checkpoint.model.eval(), checkpoint.spec.input).to(DEVICE)
        self._network: Callable[[Tensor], Tensor] = network
        if compiled:
            self._network = torch.compile(network, mode="max-autotune-no-cudagraphs", dynamic=False)
        self._sizes: tuple[int, int, int] | None = None
        provider = f"{torch.cuda.get_device_name()}, channels last, CUDA graph" + ", max-autotune" * compiled
        self.info = EngineInfo("torch", provider, Precision.F16, checkpoint.spec, shape, checkpoint.sha256)

    def _load(self, frames: U8) -> None:
        n, h, w, _ = frames.shape
        if self._sizes != (n, h, w):
            self._bind((n, h, w))
        self._uploaded.synchronize()  # the last upload may still be reading the pinned buffer
        np.copyto(self._host_frames.numpy(), frames)
        self._frames.copy_(self._host_frames, non_blocking=True)
        self._uploaded.record()

    def enqueue(self) -> None:
        self._replay()

    def sync(self) -> None:
        torch.cuda.synchronize()

    def device_ns(self) -> int:
        return event_ns(self._replay)

    def fetch(self) -> U8:
        self._host_labels.copy_(self._labels, non_blocking=True)
        torch.cuda.synchronize()
        labels: U8 = self._host_labels.numpy().copy()
        return labels

    def profile(self, frames: U8, runs: int) -> tuple[Layer, ...]:
        """By kernel: what a graph replays belongs to no module any more."""
        self.load(frames)
        return profile_kernels(self._replay, WARM_RUNS, runs)

    def close(self) -> None:
        if self._sizes is not None:
            torch.cuda.synchronize()
            self._sizes = None
            del self._replay, self._frames, self._labels, self._host_frames, self._host_labels

    def _bind(self, sizes: tuple[int, int, int]) -> None:
        """Make the buffers and the graph for frames of (N, H, W)."""
        self.close()
        self._host_frames = torch.empty((*sizes, 3), dtype=torch.uint8, pin_memory=DEVICE == "cuda")
        self._host_labels = torch.empty(sizes, dtype=torch.uint8, pin_memory=DEVICE == "cuda")
        self._frames = torch.zeros((*sizes, 3), dtype=torch.uint8, device=DEVICE)
        self._uploaded = torch.cuda.Event()  # type: ignore[no-untyped-call]

        def step() -> None:
            self._labels = self._network(self._frames)

        self._replay = record(step)
        self._sizes = sizes


@torch.inference_mode()
def record(step: Callable[[], None]) -> Callable[[], None]:
    """What `step` puts on the GPU, as a graph: a function that replays it. What it leaves in tensors stays there."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    # What cuDNN finds fastest while settling it takes again while the graph is recorded.
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        with torch.cuda.stream(side):
            for _ in range(SETTLING_RUNS):
                step()
        torch.cuda.current_stream().wait_stream(side)
        # other engines of the process may go on allocating meanwhile, in threads of their own
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            step()
    return graph.replay

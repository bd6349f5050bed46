"""Label-free distillation: a few minutes of training in which the int8 network learns to be its own f32 network.

    loss = sum (z' - z)^2 / sum z^2  +  0.1 KL(softmax z || softmax z')

z are the f32 network's scores on a crop, z' those of the same graph with int8 where the file will have it
(replay.py). Only what the file can hold learns: the weights and biases of the quantised convolutions, and the log of
the scale of what they read. No labels are needed, so the frames that ranges are calibrated on are enough. This is
quantisation-aware training, not post-training quantisation: say so where a figure is quoted.

The rates are small on purpose. The network starts a rounding error away from its teacher; rates five times as large
first raise the loss, and end with less mIoU (docs/int8.md). Weights that are zero stay zero: Adam divides by the size
of a gradient, and would wake the dead filters of a trained CGNet at full speed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy.errors import CgnetError
from cgnet_deploy.export.calibration_data import CalibrationFrames
from cgnet_deploy.export.fuse.linear import kernel_and_bias
from cgnet_deploy.export.prune import NO_WEIGHT
from cgnet_deploy.export.quantize import IMAGE_CHANNELS, Site
from cgnet_deploy.export.ranges_file import Ranges
from cgnet_deploy.export.replay import Replay, Weights, weights_of
from cgnet_deploy.pixels import U8, to_tensor
from cgnet_deploy.spec import InputSpec, Res
from cgnet_deploy.terminal import progress, say

WEIGHT_RATE, SCALE_RATE = 4e-6, 1.5e-3
KL_SHARE = 0.1
CROP = Res(240, 320)  # at most: the memory of a step does not grow with the frames
SEED = 0
WATCHED = 8  # crops on which it is told whether it helped


@dataclass(frozen=True, slots=True)
class Recipe:
    """steps: crops, one each. sites: the convolutions that int8 takes."""

    steps: int
    sites: Sequence[Site]

    def summary(self) -> str:
        """`150 steps of 78 convolutions`."""
        return f"{self.steps} steps of {len(self.sites)} convolutions"


def distill(model: ir.Model, ranges: Ranges, frames: CalibrationFrames, spec: InputSpec, recipe: Recipe) -> Ranges:
    """The ranges with what `recipe.sites` learned, or as they were if that is no nearer to f32.

    model: the fused graph of planes. The same frames, recipe and number of threads give the same result. Raises
    CgnetError if the loss is no number.
    """
    network = Replay(model)
    names = [site.name for site in recipe.sites]
    learned = weights_of(model, {name: ranges.scales.reads[name] for name in names}, ranges.bias)
    for kernel in learned.kernels.values():
        # The image's channels stand in another order where a target reads BGR: those kernels differ between graphs.
        kernel.requires_grad_(kernel.shape[1] != IMAGE_CHANNELS)
    watched = [centre(frames[i * len(frames) // WATCHED]) for i in range(WATCHED)]
    held = [torch.from_numpy(to_tensor(crop, spec)) for crop in watched]
    before = noise(network, learned, held)
    train(network, learned, frames, spec, recipe.steps)
    after = noise(network, learned, held)
    say(f"distilled in {recipe.summary()}: noise of the logits {decibel(before)} -> {decibel(after)}")
    if not after < before:
        say("distilled: no nearer to f32 than before; the weights stay as they were")
        return ranges
    return absorbed(model, ranges, learned)


def train(network: Replay, learned: Weights, frames: CalibrationFrames, spec: InputSpec, steps: int) -> None:
    """Let `learned` learn, in place."""
    rng = np.random.default_rng(SEED)
    kernels = [kernel for kernel in learned.kernels.values() if kernel.requires_grad]
    alive = [kernel.detach().abs() >= NO_WEIGHT for kernel in kernels]
    scales = list({id(scale): scale for scale in learned.log_scales.values()}.values())
    optimiser = torch.optim.Adam(
        [
            {"params": [*kernels, *learned.biases.values()], "lr": WEIGHT_RATE},
            {"params": scales, "lr": SCALE_RATE},
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    for step in progress(range(steps), steps, "distilling"):
        x = torch.from_numpy(to_tensor(cut(frames[int(rng.integers(len(frames)))], rng), spec))
        with torch.no_grad():
            wanted = network(x)
        loss = distance(wanted, network(x, learned))
        if not math.isfinite(loss.item()):
            raise CgnetError(f"distilling: the loss is {loss.item()} at step {step}; export without --distill")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for kernel, mask in zip(kernels, alive, strict=True):
            assert kernel.grad is not None
            kernel.grad *= mask
        optimiser.step()
        schedule.step()


def distance(wanted: Tensor, given: Tensor) -> Tensor:
    """The loss, of scores (N, K, H, W): 0 where they are equal."""
    divergence = F.kl_div(given.log_softmax(1), wanted.log_softmax(1), reduction="none", log_target=True)
    return relative(wanted, given) + KL_SHARE * divergence.sum(1).mean()


def relative(wanted: Tensor, given: Tensor) -> Tensor:
    return (given - wanted).square().sum() / wanted.square().sum()


def noise(network: Replay, learned: Weights, inputs: Sequence[Tensor]) -> float:
    """What int8 adds to the scores, as a share of their power."""
    with torch.no_grad():
        return float(np.mean([relative(network(x), network(x, learned)).item() for x in inputs]))


def decibel(share: float) -> str:
    return f"{-10 * math.log10(max(share, 1e-30)):.1f} dB below them"


def cut(frame: U8, rng: np.random.Generator) -> U8:
    """(1, h, w, 3): a random crop, mirrored every other time."""
    height, width = (min(side, whole) for side, whole in zip(CROP, frame.shape, strict=False))
    top, left = (int(rng.integers(whole - side + 1)) for whole, side in zip(frame.shape, (height, width), strict=False))
    crop = frame[top : top + height, left : left + width]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)[None]


def centre(frame: U8) -> U8:
    """(1, h, w, 3): the middle of a frame."""
    height, width = (min(side, whole) for side, whole in zip(CROP, frame.shape, strict=False))
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return np.ascontiguousarray(frame[top : top + height, left : left + width])[None]


def absorbed(model: ir.Model, ranges: Ranges, learned: Weights) -> Ranges:
    """What was learned, as what int8 does to the f32 graph."""
    own = {conv.name or "": kernel_and_bias(conv)[1] for conv in model.graph if conv.name in learned.biases}
    reads = {name: math.exp(log.item()) for name, log in learned.log_scales.items()}
    return Ranges(
        ranges.made,
        replace(ranges.scales, reads={**ranges.scales.reads, **reads}),
        {**ranges.bias, **{name: own[name] - bias.detach().numpy() for name, bias in learned.biases.items()}},
        {name: kernel.detach().numpy() for name, kernel in learned.kernels.items() if kernel.requires_grad},
    )

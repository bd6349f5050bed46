"""Label-free distillation: a few minutes of training in which the int8 network learns to be its own f32 network.

    loss = sum (z' - z)^2 / sum z^2  +  0.1 KL(softmax z || softmax z')

z are the f32 network's scores on a crop, z' those of the int8 file, replayed with every pair that it has (replay.py).
Only what the file can hold learns: the weights and biases of the quantised convolutions, and the log of the scale of
each pair. No labels are needed, so the frames that ranges are calibrated on are enough. This is quantisation-aware
training, not post-training quantisation: say so where a figure is quoted.

The rates are small on purpose. The network starts a rounding error away from its teacher; rates five times as large
first raise the loss, and end with less mIoU (docs/int8.md). Weights that are zero stay zero: Adam divides by the size
of a gradient, and would wake the dead filters of a trained CGNet at full speed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy.errors import CgnetError
from cgnet_deploy.export.calibrate import Scales
from cgnet_deploy.export.calibration_data import CalibrationFrames
from cgnet_deploy.export.constants import NO_WEIGHT
from cgnet_deploy.export.fuse.linear import F64, kernel_and_bias
from cgnet_deploy.export.graph import operand, producer, required
from cgnet_deploy.export.lower import Lowering
from cgnet_deploy.export.quantize import MOST_BIAS
from cgnet_deploy.export.ranges import LEVELS
from cgnet_deploy.export.ranges_file import Ranges
from cgnet_deploy.export.replay import Replay, fake, stored_scale
from cgnet_deploy.export.sites import IMAGE_CHANNELS
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.progress import track
from cgnet_deploy.spec import InputSpec, Precision, Res

log = logging.getLogger(__name__)


WEIGHT_RATE, SCALE_RATE = 4e-6, 1.5e-3
KL_SHARE = 0.1
CROP = Res(240, 320)  # at most: the memory of a step does not grow with the frames
SEED = 0
WATCHED = 8  # crops that show whether it helped
BELOW = 1 - 2.0**-12  # a stored scale was rounded up to f16: from a little below, exp(log) rounds up to it again


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """The int8 graph of `replay`, and the leaves that learn in place of its constants.

    convs: by name, those in int8; kernels: (C_out, C_in / groups, kh, kw) and biases: (C_out,) theirs.
    log_scales: () by the value that a pair has as its scale.
    """

    replay: Replay
    convs: Mapping[str, ir.Node]
    kernels: Mapping[str, Tensor]
    biases: Mapping[str, Tensor]
    log_scales: Mapping[ir.Value, Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised -> scores."""
        learned = {value: stored_scale(log.exp()) for value, log in self.log_scales.items()}
        for name, conv in self.convs.items():
            scale = learned[required(pair_scale(conv.inputs[0]), f"the pair that {name} reads")]
            learned[operand(conv, 1)] = rounded(self.kernels[name], self.biases[name], scale)
            learned[operand(conv, 2)] = self.biases[name]
        return self.replay(x, learned)


def student_of(fused: ir.Model, lowering: Lowering) -> Student:
    """What `lowering` makes of the fused tensor graph; it starts with the file's own numbers."""
    model = replace(lowering, fallback_precision=Precision.F32).apply(fused)
    replay, names = Replay(model), {site.name for site in lowering.sites}
    convs = {node.name or "": node for node in model.graph if node.name in names}
    own = {node.name: kernel_and_bias(node)[0] for node in fused.graph if node.name in names}
    # The image's channels stand in another order where a target reads BGR: those kernels differ between graphs.
    kernels = {name: leaf(own[name]).requires_grad_(own[name].shape[1] != IMAGE_CHANNELS) for name in convs}
    bias = {name: replay.constants[value] for name, conv in convs.items() if (value := conv.inputs[2]) is not None}
    scales = [node.inputs[1] for node in model.graph if node.op_type == "QuantizeLinear"]
    logs = {pair: (BELOW * replay.constants[pair]).log().requires_grad_() for pair in scales if pair is not None}
    return Student(replay, convs, kernels, {name: leaf(array.numpy()) for name, array in bias.items()}, logs)


def leaf(array: F32 | F64) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).requires_grad_()


def rounded(kernel: Tensor, bias: Tensor, scale: Tensor) -> Tensor:
    """A kernel in int8 and back, as quantize.py stores it. scale: of what the convolution reads."""
    peak = kernel.detach().abs().flatten(1).amax(1)
    least = bias.detach().abs() / (scale.detach() * MOST_BIAS)
    return fake(kernel, stored_scale(torch.maximum(peak / LEVELS, least))[:, None, None, None])


def pair_scale(value: ir.Value | None) -> ir.Value | None:
    """The scale of the pair that gives `value`, None if none does."""
    pair = producer(value, "DequantizeLinear")
    return None if pair is None else pair.inputs[1]


def recipe(lowering: Lowering, steps: int) -> str:
    """`150 steps of 78 convolutions and the trunk`: what trained ranges depend on, besides frames and graph."""
    return f"{steps} steps of {len(lowering.sites)} convolutions{' and the trunk' if lowering.trunk else ''}"


def distill(fused: ir.Model, lowering: Lowering, frames: CalibrationFrames, spec: InputSpec, steps: int) -> Ranges:
    """The ranges of `lowering` with what its convolutions learned, or unchanged if that is no nearer to f32.

    fused: the tensor graph. The same frames, steps and number of threads give the same result. Raises CgnetError
    if the loss is no number.
    """
    ranges = lowering.known_ranges
    teacher, student = Replay(fused), student_of(fused, lowering)
    probe = crops(frames, spec)
    before = noise(teacher, student, probe)
    train(teacher, student, frames, spec, steps)
    after = noise(teacher, student, probe)
    log.info(f"distilled in {recipe(lowering, steps)}: noise of the logits {decibel(before)} -> {decibel(after)}")
    if not after < before:
        log.info("distilled: no nearer to f32 than before; the weights stay unchanged")
        return ranges
    return absorbed(fused, ranges, student)


def train(teacher: Replay, student: Student, frames: CalibrationFrames, spec: InputSpec, steps: int) -> None:
    """Let the leaves of `student` learn, in place."""
    rng = np.random.default_rng(SEED)
    kernels = [kernel for kernel in student.kernels.values() if kernel.requires_grad]
    alive = [kernel.detach().abs() >= NO_WEIGHT for kernel in kernels]
    optimiser = torch.optim.Adam(
        [
            {"params": [*kernels, *student.biases.values()], "lr": WEIGHT_RATE},
            {"params": [*student.log_scales.values()], "lr": SCALE_RATE},
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    for step in track(range(steps), steps, "distilling"):
        x = torch.from_numpy(to_tensor(cut(frames[int(rng.integers(len(frames)))], rng), spec))
        with torch.no_grad():
            wanted = teacher(x)
        loss = distance(wanted, student(x))
        if not math.isfinite(loss.item()):
            raise CgnetError(f"distilling: the loss is {loss.item()} at step {step}; export without --distill")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for kernel, mask in zip(kernels, alive, strict=True):
            kernel.grad = required(kernel.grad, "the gradient of a kernel") * mask
        optimiser.step()
        schedule.step()


def distance(wanted: Tensor, scores: Tensor) -> Tensor:
    """The loss, of scores (N, K, H, W): 0 where they are equal."""
    divergence = F.kl_div(scores.log_softmax(1), wanted.log_softmax(1), reduction="none", log_target=True)
    return relative(wanted, scores) + KL_SHARE * divergence.sum(1).mean()


def relative(wanted: Tensor, scores: Tensor) -> Tensor:
    return (scores - wanted).square().sum() / wanted.square().sum()


def noise(teacher: Replay, student: Student, inputs: Sequence[Tensor]) -> float:
    """What int8 adds to the scores, as a share of their power."""
    with torch.no_grad():
        return float(np.mean([relative(teacher(x), student(x)).item() for x in inputs]))


def decibel(share: float) -> str:
    return f"{-10 * math.log10(max(share, 1e-30)):.1f} dB below them"


def size_of_crop(frame: U8) -> Res:
    return Res(min(CROP.height, frame.shape[0]), min(CROP.width, frame.shape[1]))


def cut(frame: U8, rng: np.random.Generator) -> U8:
    """(1, h, w, 3): a random crop, mirrored every other time."""
    (height, width), (full_height, full_width) = size_of_crop(frame), frame.shape[:2]
    top, left = int(rng.integers(full_height - height + 1)), int(rng.integers(full_width - width + 1))
    crop = frame[top : top + height, left : left + width]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)[None]


def crops(frames: CalibrationFrames, spec: InputSpec) -> list[Tensor]:
    """(1, 3, h, w) each: the middles of WATCHED frames, normalised."""
    watched = (frames[i * len(frames) // WATCHED] for i in range(WATCHED))
    return [torch.from_numpy(to_tensor(centre(frame), spec)) for frame in watched]


def centre(frame: U8) -> U8:
    """(1, h, w, 3): the middle of a frame."""
    height, width = size_of_crop(frame)
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return np.ascontiguousarray(frame[top : top + height, left : left + width])[None]


def absorbed(fused: ir.Model, ranges: Ranges, student: Student) -> Ranges:
    """What was learned, as ranges, biases and kernels of the f32 graph."""
    own = {conv.name or "": kernel_and_bias(conv)[1] for conv in fused.graph if conv.name in student.convs}
    scales, learned = ranges.scales, learned_scales(student, ranges.scales)
    return Ranges(
        ranges.origin,
        Scales(
            {**scales.reads, **learned.reads}, {**scales.results, **learned.results}, {**scales.added, **learned.added}
        ),
        {**ranges.bias, **{name: own[name] - bias.detach().numpy() for name, bias in student.biases.items()}},
        {name: kernel.detach().numpy() for name, kernel in student.kernels.items() if kernel.requires_grad},
    )


def learned_scales(student: Student, known: Scales) -> Scales:
    """The scales of the pairs that the graph has, by what they stand on."""
    scale = {pair: math.exp(log.item()) for pair, log in student.log_scales.items()}
    reads, results, added = {}, {}, {}
    for name, conv in student.convs.items():
        reads[name] = pair_scale(conv.inputs[0])
        for use in conv.outputs[0].uses():
            if name in known.results and use.node.op_type == "QuantizeLinear":
                results[name] = use.node.inputs[1]
    ends = {*reads.values(), *results.values(), None}
    for node in student.replay.nodes:
        for value in node.inputs if node.name in known.added else ():
            if (branch := pair_scale(value)) not in ends:
                added[node.name or ""] = branch
    kinds = ({name: scale[pair] for name, pair in kind.items() if pair} for kind in (reads, results, added))
    return Scales(*kinds)

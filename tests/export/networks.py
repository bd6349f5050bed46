"""Networks like trained ones."""

from __future__ import annotations

import copy
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.model import CGNet, Gate
from cgnet_deploy.spec import Res
from tests.networks import drawn

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Character:
    """What training may leave behind.

    steepest: the largest PReLU slope; others are of both signs. dead: the share of filters without weight.
    constant_gates: whether no image moves the gates.
    """

    steepest: float = 0.9
    dead: float = 0.0
    constant_gates: bool = False


def trained(
    classes: int = 3,
    blocks: tuple[int, int] = (2, 2),
    character: Character = Character(),
    *,
    bias: bool = False,
    seed: int = 0,
) -> CGNet:
    """A random CGNet of that character whose running statistics are those of its own activations."""
    model = drawn(classes, blocks, bias=bias, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.PReLU):
                module.weight.uniform_(-0.4, character.steepest, generator=generator)
                module.weight[0] = character.steepest
            elif isinstance(module, nn.Conv2d) and module is not model.classifier:
                gone = torch.rand(len(module.weight), generator=generator) < character.dead
                module.weight[gone] *= 1e-20
            elif isinstance(module, Gate) and character.constant_gates:
                module.squeeze.weight *= 1e-20
            elif isinstance(module, nn.BatchNorm2d):
                # Large enough for features, and so labels, that vary; of both signs.
                module.weight.uniform_(0.4, 1.6, generator=generator)
                module.weight[torch.rand(len(module.weight), generator=generator) < 0.3] *= -1
                module.reset_running_stats()
                module.momentum = None  # average, from here on
        model.train()
        for _ in range(2):
            model(planes(Res(40, 56), batch=4, generator=generator))
    return model.eval()


def trained_overflowing() -> CGNet:
    """A network whose first feature leaves f16's range, and whose second convolution brings it back."""
    model = trained()
    tensors = model.state_dict()  # views of the model's own
    for key, factor in (("stem.0.bn.weight", 2e5), ("stem.0.bn.bias", 2e5), ("stem.1.conv.weight", 5e-6)):
        tensors[key] *= factor
    return model


def save(model: CGNet, path: Path) -> None:
    """Write a checkpoint with the official CamVid contract."""
    save_checkpoint(path, model, model_spec("camvid-official", model.classes, model.blocks), {})


def planes(res: Res, *, batch: int = 1, generator: torch.Generator | None = None) -> torch.Tensor:
    """(N, 3, H, W) on the scale of a frame minus its mean: blocks of one colour, under noise."""
    generator = generator or torch.Generator().manual_seed(1)
    coarse = torch.randn(batch, 3, math.ceil(res.height / 8), math.ceil(res.width / 8), generator=generator)
    blocks = coarse.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)[:, :, : res.height, : res.width]
    return 60 * blocks + 15 * torch.randn(blocks.shape, generator=generator)


def fingerprint(model: CGNet) -> bytes:
    """Equal for networks that compute the same: to know again what a graph was made of."""
    digest = hashlib.sha256(repr((model.classes, model.blocks)).encode())
    for key, tensor in model.state_dict().items():
        digest.update(key.encode() + tensor.numpy().tobytes())
    return digest.digest()


def logits(model: CGNet, x: torch.Tensor) -> F64:
    """What the network computes, in float64: torch's own float32 is off by as much as what is compared with it."""
    with torch.inference_mode():
        y: F64 = copy.deepcopy(model).double()(x.double()).numpy()
    return y

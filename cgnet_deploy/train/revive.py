"""Re-initialise dead filters and gates of trained weights, so that fine-tuning can use them.

Adam with coupled weight decay drives filters, and the weights of gates, to 0 in the published networks: no gradient
comes through them any more, so training alone doesn't bring them back. The function hardly changes at first:

    dead filter       He-normal; the scale of the BatchNorm behind it START, its statistics reset. A depthwise filter
                      that reads a dead channel is dead too
    slope behind it   of a PReLU, as a fresh network has it, where it is 0
    constant gate     the hidden layer as a fresh one; the outer weights stay 0 until they learn, its bias is kept
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cgnet_deploy.model import Block, CGNet, ConvBnPrelu, DownBlock, Gate

log = logging.getLogger(__name__)

DEAD = 1e-4  # largest weight of a dead filter; a live one of the published networks has 1e-2 and more
START = 0.1
SLOPE = 0.25


@dataclass(frozen=True, slots=True)
class Revived:
    """How many of each were re-initialised."""

    dense: int
    depthwise: int
    gates: int


@torch.no_grad()
def revive(model: CGNet, seed: int) -> Revived:
    """Re-initialise dead filters and constant gates of `model`, from a generator of that seed."""
    rng = torch.Generator().manual_seed(seed)
    dense = depthwise = gates = 0
    for module in model.modules():
        if isinstance(module, ConvBnPrelu):  # of the stem, and the entries of blocks, which come after their block
            dense += _redraw(module.conv, _dead(module.conv), module.bn, module.act, 0, rng)
        elif isinstance(module, Block | DownBlock):
            entry = _dead(module.entry.conv)
            width = module.local.out_channels
            for conv, offset in ((module.local, 0), (module.surround, width)):
                depthwise += _redraw(conv, _dead(conv) | entry, module.bn, module.act, offset, rng)
            gates += _redraw_gate(module.gate, rng)
    revived = Revived(dense, depthwise, gates)
    log.info(f"re-initialised {dense} dense and {depthwise} depthwise filters that were dead, and {gates} gates")
    return revived


def _dead(conv: nn.Conv2d) -> Tensor:
    """(C_out,) bool."""
    return conv.weight.abs().amax((1, 2, 3)) < DEAD


def _redraw(conv: nn.Conv2d, dead: Tensor, bn: nn.BatchNorm2d, act: nn.PReLU, offset: int, rng: torch.Generator) -> int:
    """offset: of the first output channel of `conv` in `bn` and `act`."""
    fan_in = conv.weight[0].numel()
    drawn = torch.randn(conv.weight.shape, generator=rng) * (2 / fan_in) ** 0.5
    conv.weight[dead] = drawn[dead]
    channels = offset + dead.nonzero()[:, 0]
    bn.weight[channels] = START
    if bn.running_mean is not None and bn.running_var is not None:
        bn.running_mean[channels], bn.running_var[channels] = 0.0, 1.0
    flat = channels[act.weight[channels].abs() < DEAD]
    act.weight[flat] = SLOPE
    return int(dead.sum())


def _redraw_gate(gate: Gate, rng: torch.Generator) -> int:
    if min(float(layer.weight.abs().max()) for layer in (gate.squeeze, gate.excite)) >= DEAD:
        return 0
    bound = gate.squeeze.in_features**-0.5  # as torch draws a Linear
    gate.squeeze.weight.copy_((2 * torch.rand(gate.squeeze.weight.shape, generator=rng) - 1) * bound)
    gate.squeeze.bias.copy_((2 * torch.rand(gate.squeeze.bias.shape, generator=rng) - 1) * bound)
    gate.excite.weight.zero_()
    return 1

"""What died in trained weights is re-initialised, what lives is left alone, and the network's answer hardly changes."""

from __future__ import annotations

import copy

import torch

from cgnet_deploy.model import Block, ConvBnPrelu
from cgnet_deploy.train.revive import START, Revived, revive
from tests.networks import drawn

IMAGE = torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def test_a_living_network_is_left_alone() -> None:
    model = drawn()
    before = copy.deepcopy(model.state_dict())
    assert revive(model, 0) == Revived(0, 0, 0)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_dead_filters_and_gates_are_drawn_anew() -> None:
    """A dead entry channel takes both depthwise filters that read it along."""
    model = drawn()
    block, stem = model.stage3[1], model.stem[1]
    assert isinstance(block, Block)
    assert isinstance(stem, ConvBnPrelu)
    entry, local, surround, gate = block.entry, block.local, block.surround, block.gate
    with torch.no_grad():
        entry.conv.weight[5] = 1e-30
        local.weight[7] = 0
        entry.act.weight[5] = 0
        block.act.weight[64 + 5] = 0
        stem.conv.weight[3] = 0
        gate.excite.weight.fill_(1e-18)
    before = copy.deepcopy(model.state_dict())
    assert revive(model, 0) == Revived(dense=2, depthwise=3, gates=1)
    for weight, channel in ((entry.conv.weight, 5), (local.weight, 5), (local.weight, 7), (surround.weight, 5)):
        assert weight[channel].abs().max() > 0.01
    assert stem.bn.weight[3] == entry.bn.weight[5] == START
    assert all(block.bn.weight[channel] == START for channel in (5, 7, 64 + 5))
    assert entry.act.weight[5] == block.act.weight[64 + 5] == 0.25
    old = before["stage3.1.local.weight"]
    kept = [channel for channel in range(64) if channel not in (5, 7)]
    assert torch.equal(local.weight[kept], old[kept])
    assert torch.equal(gate.excite.bias, before["stage3.1.gate.excite.bias"])
    assert gate.squeeze.weight.abs().max() > 0.01
    assert not gate.excite.weight.any()


def test_what_is_drawn_is_a_function_of_the_seed_and_learns() -> None:
    blocks: list[Block] = []
    for seed in (0, 1, 0):
        model = drawn()
        block = model.stage2[1]
        assert isinstance(block, Block)
        torch.nn.init.zeros_(block.local.weight)
        torch.nn.init.zeros_(block.gate.excite.weight)
        revive(model, seed)
        blocks.append(block)
    assert torch.equal(blocks[0].local.weight, blocks[2].local.weight)
    assert not torch.equal(blocks[0].local.weight, blocks[1].local.weight)
    model.train()(IMAGE).square().mean().backward()
    for weight in (blocks[2].local.weight, blocks[2].gate.excite.weight):
        assert weight.grad is not None
        assert weight.grad.abs().amax(tuple(range(1, weight.ndim))).gt(0).all()

"""Which raw results ONNX Runtime's pairs on them would cost too much: those convolutions stay in f32.

A pair on a raw result has one step for all channels. What follows may be far from equal among them: a BatchNorm at a
join multiplies a channel that hardly varies by 30, and the step with it; with random weights one such pair can cost
more than everything else in int8. Without a pair there, ONNX Runtime computes the convolution in f32, and int8 gains
nothing.

What pair i, which moves its result by e_i, adds to the scores z is, to first order,

    |J_i e_i|^2 = E (v . J_i e_i)^2 = E (g_i . e_i)^2      J_i = d z / d y_i,   v of random signs,   g_i = J_i^T v

so one backward pass estimates it for all pairs at once (Hutchinson's estimator).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir
import torch
from torch import Tensor

from cgnet_deploy.export.distill import noise, student_of
from cgnet_deploy.export.lower import Lowering
from cgnet_deploy.export.ranges_file import Ranges
from cgnet_deploy.export.replay import Replay, fake, stored_scale

log = logging.getLogger(__name__)


SIGNS = 4  # vectors v on each crop: with 8 crops, off by a quarter, and what is looked for is off by a factor
SEED = 0


def without_costly(fused: ir.Model, lowering: Lowering, inputs: Sequence[Tensor]) -> Ranges:
    """The ranges of `lowering` without the raw results whose pair alone adds more noise than int8 without any of them.

    inputs: normalised tensors (N, 3, h, w).
    """
    ranges = lowering.known_ranges
    limit = noise(Replay(fused), student_of(fused, replace(lowering, raw_results=False)), inputs)
    costs = costs_of(fused, ranges.scales.results, inputs)
    costly = sorted(name for name, cost in costs.items() if cost > limit)
    if costly:
        log.info(f"int8 would cost too much of the raw results of {', '.join(costly)}: these stay in f32")
    kept = {name: scale for name, scale in ranges.scales.results.items() if name not in costly}
    return replace(ranges, scales=replace(ranges.scales, results=kept))


def costs_of(fused: ir.Model, results: Mapping[str, float], inputs: Sequence[Tensor]) -> dict[str, float]:
    """Convolution -> what a pair on its raw result alone adds to the scores, as a share of their power."""
    replay, generator = Replay(fused), torch.Generator().manual_seed(SEED)
    made = {node.name or "": node.outputs[0] for node in fused.graph if node.name in results}
    steps = {name: stored_scale(torch.tensor(results[name])) for name in made}
    costs = dict.fromkeys(made, 0.0)
    power = 0.0
    for x in inputs:
        known = replay.values(x.clone().requires_grad_())
        scores = known[replay.scores]
        power += scores.detach().square().sum().item() * SIGNS
        moved = {name: fake(y := known[value].detach(), steps[name]) - y for name, value in made.items()}
        for _ in range(SIGNS):
            signs = torch.randint(0, 2, scores.shape, generator=generator) * 2.0 - 1
            slopes = torch.autograd.grad(scores, [known[value] for value in made.values()], signs, retain_graph=True)
            for name, slope in zip(made, slopes, strict=True):
                costs[name] += (slope * moved[name]).sum().item() ** 2
    return {name: cost / power for name, cost in costs.items()}

"""The network under training: one optimiser step, its averaged weights, and all that is needed to go on.

    loss = sum_i w[y_i] (-log softmax(logits_i)[y_i]) / sum_i w[y_i]     over the pixels that aren't ignored
         + weight T^2 mean_j KL(p_j || softmax(logits_j / T))            over every eighth pixel, with a teacher's p_j

The denominators are summed over all processes, so that R processes with batch B/R descend exactly as one with
batch B does, whatever share of the pixels each happens to ignore.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cgnet_deploy.model import CGNet, initialise
from cgnet_deploy.train.backward import with_fast_backward
from cgnet_deploy.train.feed import ALONE, Share
from cgnet_deploy.train.recipe import Optimiser, Recipe
from cgnet_deploy.train.softlabels import subsampled

NORMS_AND_SLOPES = (nn.BatchNorm2d, nn.PReLU)


def fresh(recipe: Recipe, classes: int) -> CGNet:
    """A new network with weights drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    model = CGNet(classes, recipe.blocks, recipe.classifier_bias)
    initialise(model, recipe.initial)
    return model


def parameter_groups(model: nn.Module, optimiser: Optimiser) -> list[dict[str, Any]]:
    """All parameters with weight decay, or those that `Optimiser.decayed` spares without."""
    if optimiser.decayed == "all":
        return [{"params": list(model.parameters()), "weight_decay": optimiser.weight_decay}]
    dense_only = optimiser.decayed == "dense"
    spared = {id(p) for m in model.modules() if _spared(m, dense_only) for p in m.parameters(recurse=False)}
    spared |= {id(p) for name, p in model.named_parameters() if name.endswith("bias")}
    decayed = [p for p in model.parameters() if id(p) not in spared]
    others = [p for p in model.parameters() if id(p) in spared]
    return [{"params": decayed, "weight_decay": optimiser.weight_decay}, {"params": others, "weight_decay": 0.0}]


def _spared(module: nn.Module, dense_only: bool) -> bool:
    depthwise_or_gate = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups > 1)
    return isinstance(module, NORMS_AND_SLOPES) or (dense_only and depthwise_or_gate)


class Learner:
    """model: the network itself. averaged: what is validated and shipped; the model itself without EMA."""

    def __init__(
        self,
        model: CGNet,
        recipe: Recipe,
        class_weights: npt.NDArray[np.float32],
        ignore_label: int,
        device: torch.device,
        share: Share = ALONE,
    ) -> None:
        self.recipe, self.ignore_label, self.device, self.share = recipe, ignore_label, device, share
        if recipe.sync_bn and device.type == "cuda" and share.world > 1:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        # torch's stubs leave out memory_format, which Module.to documents
        self.model = model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.model) if recipe.ema else self.model
        if device.type == "cpu":
            with_fast_backward(self.model)
        if recipe.frozen_bn:
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        kind = torch.optim.Adam if recipe.optimiser.kind == "adam" else torch.optim.AdamW
        self.optimiser = kind(
            parameter_groups(self.model, recipe.optimiser),
            lr=recipe.optimiser.lr,
            betas=(0.9, recipe.optimiser.beta2),
            fused=True,
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.amp)
        self.weights = torch.from_numpy(class_weights).to(device)
        self.network: nn.Module = DistributedDataParallel(self.model) if share.world > 1 else self.model
        self.captured = False
        self.step = 0

    def learn(self, images: Tensor, labels: Tensor, lr: float, soft: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One step on (n, 3, h, w) f32 and (n, h, w) int64; returns loss and gradient norm, still on the device.

        soft: (n, K, h', w') f32, what a teacher sees (teacher.py).
        """
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        images = images.to(self.device, non_blocking=True, memory_format=torch.channels_last)
        labels = labels.to(self.device, non_blocking=True)
        if self.recipe.captured and not self.captured:
            self._capture(images)
        with torch.autocast(self.device.type, torch.float16, enabled=self.recipe.amp, cache_enabled=not self.captured):
            logits = self.network(images)
        loss = self._loss(logits.float(), labels)
        if soft is not None:
            loss = loss + self._distillation(logits.float(), soft.to(self.device, non_blocking=True))
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip or math.inf)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1
        self._average()
        return loss.detach(), norm

    def _capture(self, images: Tensor) -> None:
        """Record forward and backward of one batch shape as CUDA graphs, replayed at every step.

        Not yet run on a GPU. A step of this network is hundreds of small kernels, which the host can't launch as
        fast as the device runs them. Capturing runs the network a few times: BatchNorm must not remember it.
        """
        buffers = {key: value.clone() for key, value in self.model.state_dict().items()}
        with torch.autocast(self.device.type, torch.float16, enabled=self.recipe.amp, cache_enabled=False):
            self.network = torch.cuda.make_graphed_callables(self.model, (images,))  # type: ignore[assignment]
        self.model.load_state_dict(buffers)
        self.captured = True

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        recipe = self.recipe
        each = F.cross_entropy(
            logits,
            labels,
            self.weights,
            ignore_index=self.ignore_label,
            reduction="none" if recipe.ohem else "sum",
            label_smoothing=recipe.smoothing,
        )
        # Ignored labels (11, 255) may lie outside the table of weights: they are looked up at 0 and masked.
        valid = labels != self.ignore_label
        weight = self.weights[torch.where(valid, labels, 0)] * valid
        if recipe.ohem:
            hard = each.detach() > -math.log(recipe.ohem) * weight
            each, weight = each * hard, weight * hard
        return self._mean(each.sum(), weight.sum())

    def _distillation(self, logits: Tensor, soft: Tensor) -> Tensor:
        distill = self.recipe.distill
        mine = (subsampled(logits) / distill.temperature).log_softmax(1)
        total = F.kl_div(mine, soft, reduction="sum")
        return distill.weight * distill.temperature**2 * self._mean(total, soft.sum())

    def _mean(self, total: Tensor, weight: Tensor) -> Tensor:
        """total / weight, both summed over the processes."""
        if self.share.world > 1:
            dist.all_reduce(weight)
            total = total * self.share.world  # DDP averages gradients over the processes; this makes it a sum
        return total / weight.clamp(min=1e-6)

    @torch.no_grad()
    def _average(self) -> None:
        """averaged = d averaged + (1 - d) model, with d small at first so that the start is forgotten."""
        if not self.recipe.ema:
            return
        decay = min(self.recipe.ema, self.step / (self.step + 10))
        kept, new = list(self.averaged.state_dict().values()), list(self.model.state_dict().values())
        floats = [(a, b) for a, b in zip(kept, new, strict=True) if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)
        for a, b in zip(kept, new, strict=True):
            if not a.is_floating_point():
                a.copy_(b)

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as tensors and plain values."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.step = state["step"]

"""A torch network as a labeller: what `evaluation.confusion_of` needs to measure it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy import evaluation
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset, check_classes
from cgnet_deploy.evaluation import Labeller, many_views
from cgnet_deploy.model import CGNet
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.spec import InputSpec
from cgnet_deploy.train.feed import ALONE, Share


def confusion_of(
    model: CGNet, dataset: Dataset, spec: InputSpec, *, ms_flip: bool = False, share: Share = ALONE
) -> Confusion:
    """At `spec.res`, of every world-th image from rank on of `share`. Leaves the model's mode as it was.

    Raises DataError for a data set of another class count or one that can't be read.
    """
    check_classes(dataset, model.classes)
    mine = range(share.rank, len(dataset), share.world)
    label = ms_flip_labeller(model, spec) if ms_flip else labeller(model, spec)
    with evaluating(model):
        return evaluation.confusion_of(label, dataset, None if ms_flip else spec.res, images=mine)


def labeller(model: CGNet, spec: InputSpec) -> Labeller:
    """Of a model in eval mode."""

    def label(frames: U8) -> U8:
        return np.asarray(_logits(model, frames, spec).argmax(1).to(torch.uint8).cpu().numpy(), np.uint8)

    return label


def ms_flip_labeller(model: CGNet, spec: InputSpec) -> Labeller:
    """Of a model in eval mode; resizing and softmax run on its device."""

    def probabilities(view: U8) -> F32:
        logits = F.interpolate(_logits(model, view, spec), size=tuple(spec.res), mode="bilinear", align_corners=False)
        return np.asarray(logits.softmax(1)[0].cpu().numpy(), np.float32)

    return many_views(probabilities, spec.res)


def _logits(model: CGNet, frames: U8, spec: InputSpec) -> Tensor:
    """(N, H, W, 3) u8 BGR -> (N, K, H, W) f32 on the model's device."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        logits: Tensor = model(torch.from_numpy(to_tensor(frames, spec)).to(device))
        return logits


@contextmanager
def evaluating(model: CGNet) -> Iterator[None]:
    """In eval mode while inside; then each module in the mode it had, one by one: BatchNorm may be frozen."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training

"""A torch network over a data set: one confusion, whole images, at one scale or at many with mirroring.

ms+flip: softmax is averaged over the scales 0.5, 0.75, ... 1.75 and both orientations, each resized to
the image's size first; labels are its argmax.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import Dataset, check_classes, fit, sample
from cgnet_deploy.model import CGNet
from cgnet_deploy.pixels import U8, to_tensor
from cgnet_deploy.progress import track
from cgnet_deploy.spec import InputSpec
from cgnet_deploy.train.feed import ALONE, Share

ONE_SCALE = (1.0,)
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


@torch.inference_mode()
def probabilities(model: CGNet, images: Tensor, scales: tuple[float, ...], flip: bool) -> Tensor:
    """(N, 3, H, W) f32, normalised -> (N, K, H, W) f32: softmax averaged over scales and mirroring.

    The network must be in eval mode and on the images' device.
    """
    height, width = images.shape[-2:]
    total = torch.zeros((), device=images.device)
    for scale in scales:
        size = (round(height * scale), round(width * scale))
        view = images
        if size != (height, width):
            view = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        views = [view, view.flip(-1)] if flip else [view]
        for mirrored, x in enumerate(views):
            scores = F.interpolate(model(x), size=(height, width), mode="bilinear", align_corners=False)
            scores = scores.softmax(1)
            total = total + (scores.flip(-1) if mirrored else scores)
    return total / (len(scales) * (1 + flip))


def predict(model: CGNet, frame: U8, spec: InputSpec, scales: tuple[float, ...], flip: bool) -> U8:
    """(H, W, 3) u8 BGR -> (H, W) u8 labels."""
    device = next(model.parameters()).device
    images = torch.from_numpy(to_tensor(frame[None], spec)).to(device)
    labels = probabilities(model, images, scales, flip).argmax(1)[0].to(torch.uint8)
    return np.asarray(labels.cpu().numpy(), np.uint8)


def confusion_of(
    model: CGNet,
    dataset: Dataset,
    spec: InputSpec,
    *,
    scales: tuple[float, ...] = ONE_SCALE,
    flip: bool = False,
    share: Share = ALONE,
) -> Confusion:
    """Whole images at `spec.res`; of `share`, every world-th image from rank on. Leaves the model's mode as it was.

    Raises DataError for a data set of another class count or one that can't be read.
    """
    check_classes(dataset, model.classes)
    mine = range(share.rank, len(dataset), share.world)
    total = Confusion.empty(model.classes)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        for i in track(mine, len(mine), f"evaluating on {dataset.name}"):
            frame, truth = fit(*sample(dataset, i), spec.res)
            labels = predict(model, frame, spec, scales, flip)
            total += Confusion.of(truth, labels, model.classes, dataset.table.ignore_label)
    finally:
        for module, training in modes:  # one by one: BatchNorm may be frozen
            module.training = training
    return total

"""The feed for a GPU: the data set lives on the device and is resized, cropped and mirrored there.

Not yet run on a GPU; on a CPU it is tested against `augment.augmented`, sample by sample. The random numbers are
drawn on the host, by the same generators in the same order, so both feeds show the same crops. With s the
resized size over the stored one, output pixel i of a crop from `top` reads the stored rows around

    y = (i + top + 1/2) / s - 1/2     bilinear for the image, the nearest one for its labels

which is what resizing first and cropping then gives; rows past the resized image are padding.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from cgnet_deploy.data.memory import InMemory
from cgnet_deploy.errors import DataError
from cgnet_deploy.train.augment import View, crop_corner_of, resized, scale_factor
from cgnet_deploy.train.feed import Key, Share, keys_of
from cgnet_deploy.train.recipe import Augment, Recipe

F64 = npt.NDArray[np.float64]


def fits_device(augment: Augment) -> bool:
    """Whether this feed can serve: nothing may look at colours or at what a crop shows."""
    return augment.photometric == 0 and augment.single_class_limit >= 1


def draw_view(size: tuple[int, int], augment: Augment, rng: np.random.Generator) -> View:
    """The random numbers of `augment.augmented`, in its order. size: (H, W) as stored."""
    height, width = resized(size, scale_factor(augment.scale, rng))
    top, left = crop_corner_of((height, width), augment.crop, rng)
    return View(height, width, top, left, rng.random() < augment.flip)


class DeviceFeed:
    """frames (S, 3, H, W) u8, in the network's colour order, and labels (S, H, W) u8, both on the device.

    Raises DataError for samples of several sizes.
    """

    def __init__(self, dataset: InMemory, recipe: Recipe, device: torch.device) -> None:
        if len({labels.shape for _, labels in dataset.samples}) > 1:
            raise DataError(f"{dataset.name} holds images of several sizes; set --device cpu, or resize them")
        frames = np.stack([frame for frame, _ in dataset.samples])[..., list(recipe.input.channels)]
        self.recipe, self.device, self.ignore_label = recipe, device, dataset.table.ignore_label
        self.frames = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).to(device)
        self.labels = torch.from_numpy(np.stack([labels for _, labels in dataset.samples])).to(device)
        self.mean = torch.tensor(recipe.input.mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(recipe.input.std, device=device).view(1, 3, 1, 1)

    def batches(self, steps: range, share: Share) -> Generator[tuple[Tensor, Tensor]]:
        """As `feed.batches`, but on the device."""
        for step in steps:
            yield self.batch(keys_of(self.recipe, len(self.labels), step, share))

    def batch(self, keys: list[Key]) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) f32 and (n, h, w) int64."""
        size, augment = (self.labels.shape[1], self.labels.shape[2]), self.recipe.augment
        rngs = [np.random.default_rng([self.recipe.seed, key.step, key.position]) for key in keys]
        views = [draw_view(size, augment, rng) for rng in rngs]
        rows = np.stack([_sources(v.height, v.top, size[0], augment.crop.height, False) for v in views])
        columns = np.stack([_sources(v.width, v.left, size[1], augment.crop.width, v.mirrored) for v in views])
        y, x = (self._moved(c.astype(np.float32)) for c in (rows, columns))  # (n, h), (n, w)
        inside = (~y.isnan())[:, :, None] & (~x.isnan())[:, None, :]  # (n, h, w)
        y, x = y.nan_to_num(0), x.nan_to_num(0)
        chosen = self._moved(np.array([key.sample for key in keys]))
        # grid_sample's -1 and 1 are the outer edges of the outermost pixels.
        grid_y = ((2 * y + 1) / size[0] - 1)[:, :, None].expand(inside.shape)
        grid_x = ((2 * x + 1) / size[1] - 1)[:, None, :].expand(inside.shape)
        images = F.grid_sample(
            self.frames[chosen].float(),
            torch.stack([grid_x, grid_y], -1),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        images = (images - self.mean) / self.std * inside[:, None]
        near_y, near_x = (c.add(0.5).floor().long() for c in (y, x))
        labels = self.labels[chosen[:, None, None], near_y[:, :, None], near_x[:, None, :]].long()
        return images, torch.where(inside, labels, self.ignore_label)

    def _moved(self, array: npt.NDArray[Any]) -> Tensor:
        """A few numbers for the device, which need not have caught up: a plain copy would wait until it has."""
        tensor = torch.from_numpy(array)
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)  # PyTorch keeps pinned memory until it is read


def _sources(resized_side: int, start: int, stored_side: int, crop_side: int, mirrored: bool) -> F64:
    """(crop_side,) f64: where each pixel of the crop lies in the stored image, NaN for padding."""
    places = np.arange(start, start + crop_side, dtype=np.float64)
    places[places >= resized_side] = np.nan
    sources = np.clip((places + 0.5) * stored_side / resized_side - 0.5, 0, stored_side - 1)
    if mirrored:  # what is mirrored is the crop without its padding, which stays at the right
        valid = ~np.isnan(sources)
        sources[valid] = sources[valid][::-1]
    return sources

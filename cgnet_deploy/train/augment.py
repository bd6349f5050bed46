"""Augmentation of one sample on the CPU, in the published order.

    resize (image linear, labels nearest) -> crop -> mirror -> colour -> normalise -> pad to the crop

Padding comes after normalising: the network sees 0, the labels the ignore label. It is at the right and the
bottom. Every random number comes from the generator that is passed in, so a sample is a function of its seed.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from cgnet_deploy.data.dataset import fit
from cgnet_deploy.pixels import F32, U8, to_tensor
from cgnet_deploy.spec import InputSpec, Res
from cgnet_deploy.train.recipe import Augment, Scale

Rng = np.random.Generator

CROP_TRIES = 10
BRIGHTNESS, CONTRAST, SATURATION, HUE = 32.0, 0.5, 0.5, 18.0  # PhotoMetricDistortion's ranges, plus and minus


class View(NamedTuple):
    """One crop of one sample: resized height and width, top and left of the crop in it, mirrored or not."""

    height: int
    width: int
    top: int
    left: int
    mirrored: bool


def augmented(
    frame: U8, labels: U8, augment: Augment, spec: InputSpec, ignore_label: int, rng: Rng
) -> tuple[F32, U8, View]:
    """(H, W, 3) u8 BGR and (H, W) u8 -> (3, h, w) f32 network input and (h, w) u8 labels, of the crop's size."""
    frame, labels = fit(frame, labels, resized(labels.shape, scale_factor(augment.scale, rng)))
    top, left = crop_corner(labels, augment, ignore_label, rng)
    size = labels.shape
    rows, columns = slice(top, top + augment.crop.height), slice(left, left + augment.crop.width)
    frame, labels = frame[rows, columns], labels[rows, columns]
    mirrored = rng.random() < augment.flip
    if mirrored:
        frame, labels = frame[:, ::-1], labels[:, ::-1]
    if augment.photometric:
        frame = distorted(frame, augment.photometric, rng)
    tensor, labels = padded(to_tensor(frame[None], spec)[0], labels, augment.crop, ignore_label)
    return tensor, labels, View(size[0], size[1], top, left, mirrored)


def scale_factor(scale: Scale, rng: Rng) -> float:
    if scale.choices is None:
        return float(rng.uniform(scale.low, scale.high))
    return float(np.linspace(scale.low, scale.high, scale.choices)[rng.integers(scale.choices)])


def resized(size: tuple[int, ...], factor: float) -> Res:
    """(H, W) times `factor`, rounded."""
    return Res(max(1, int(size[0] * factor + 0.5)), max(1, int(size[1] * factor + 0.5)))


def crop_corner_of(size: tuple[int, ...], crop: Res, rng: Rng) -> tuple[int, int]:
    """Top and left, uniform over where the crop fits; 0 where the image is smaller."""
    top, left = (int(rng.integers(max(side - wanted, 0) + 1)) for side, wanted in zip(size, crop, strict=True))
    return top, left


def crop_corner(labels: U8, augment: Augment, ignore_label: int, rng: Rng) -> tuple[int, int]:
    """Top and left of a crop; of the last one tried if one class covers too much of all of them."""
    top, left = crop_corner_of(labels.shape, augment.crop, rng)
    if augment.single_class_limit >= 1:
        return top, left
    for _ in range(CROP_TRIES - 1):
        inside = labels[top : top + augment.crop.height, left : left + augment.crop.width]
        counts = np.bincount(inside[inside != ignore_label])
        if np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < augment.single_class_limit:
            break
        top, left = crop_corner_of(labels.shape, augment.crop, rng)
    return top, left


def distorted(frame: U8, strength: float, rng: Rng) -> U8:
    """PhotoMetricDistortion: brightness, contrast, saturation and hue, each with probability 1/2.

    Contrast comes before saturation and hue or after them, by a coin.
    """
    if rng.integers(2):
        frame = stretched(frame, 1.0, strength * rng.uniform(-BRIGHTNESS, BRIGHTNESS))
    contrast_first = rng.integers(2)
    if contrast_first and rng.integers(2):
        frame = stretched(frame, 1 + strength * rng.uniform(-CONTRAST, CONTRAST), 0.0)
    if rng.integers(2):
        hsv = cv2.cvtColor(frame, cv2.COLOR_BGR2HSV)
        hsv[..., 1] = stretched(
            np.asarray(hsv[..., 1], np.uint8), 1 + strength * rng.uniform(-SATURATION, SATURATION), 0.0
        )
        frame = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)
    if rng.integers(2):
        hsv = cv2.cvtColor(frame, cv2.COLOR_BGR2HSV)
        turn = round(strength * rng.uniform(-HUE, HUE))
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + turn) % 180  # OpenCV's hue: half degrees, 0 to 179
        frame = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)
    if not contrast_first and rng.integers(2):
        frame = stretched(frame, 1 + strength * rng.uniform(-CONTRAST, CONTRAST), 0.0)
    return frame


def stretched(values: U8, gain: float, offset: float) -> U8:
    """gain * values + offset, clipped to 0..255 and truncated to integers."""
    table = np.clip(gain * np.arange(256) + offset, 0, 255).astype(np.uint8)
    return np.asarray(table[values], np.uint8)


def padded(tensor: F32, labels: U8, crop: Res, ignore_label: int) -> tuple[F32, U8]:
    """Pad at the right and the bottom up to the crop: 0 for the network, the ignore label for the loss."""
    below, beside = crop.height - labels.shape[0], crop.width - labels.shape[1]
    if below == beside == 0:
        return tensor, np.ascontiguousarray(labels)
    wide = np.pad(tensor, ((0, 0), (0, below), (0, beside)))
    return wide, np.pad(labels, ((0, below), (0, beside)), constant_values=ignore_label)

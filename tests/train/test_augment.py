"""Augmentation against the published descriptions: ranges, order, padding values, labels that stay with pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cgnet_deploy.pixels import to_tensor
from cgnet_deploy.spec import Res
from cgnet_deploy.train.augment import augmented, crop_corner, distorted, padded, scale_factor
from cgnet_deploy.train.recipe import Augment, Scale
from cgnet_deploy.train.recipes import CAMVID_OFFICIAL, CITYSCAPES_OFFICIAL, MMSEG_512, MMSEG_680

SPEC = CAMVID_OFFICIAL.input
PLAIN = Augment(Res(40, 50), Scale(1.0, 1.0), flip=0.0)
RNG = np.random.default_rng
FRAME = RNG(0).integers(0, 256, (40, 50, 3), np.uint8)
LABELS = RNG(1).integers(0, 11, (40, 50), np.uint8)


def test_nothing_to_do_is_normalising() -> None:
    tensor, labels, _ = augmented(FRAME, LABELS, PLAIN, SPEC, 11, RNG(0))
    assert np.array_equal(tensor, to_tensor(FRAME[None], SPEC)[0])
    assert np.array_equal(labels, LABELS)


def test_official_scales_are_sixteen_tenths() -> None:
    for recipe in (CAMVID_OFFICIAL, CITYSCAPES_OFFICIAL):
        drawn = {round(scale_factor(recipe.augment.scale, RNG(seed)), 6) for seed in range(400)}
        assert drawn == {n / 10 for n in range(5, 21)}


def test_mmseg_scales_are_any_ratio_from_half_to_double() -> None:
    for recipe in (MMSEG_680, MMSEG_512):
        drawn = np.array([scale_factor(recipe.augment.scale, RNG(seed)) for seed in range(2000)])
        assert drawn.min() >= 0.5
        assert drawn.max() <= 2
        # Uniform: mean 1.25 and deviation 1.5/sqrt(12) = 0.433, each within four standard errors of 2000 draws.
        assert drawn.mean() == pytest.approx(1.25, abs=0.04)
        assert drawn.std() == pytest.approx(0.433, abs=0.03)


def test_padding_is_at_right_and_bottom_after_normalising() -> None:
    small = replace(PLAIN, scale=Scale(0.5, 0.5))
    tensor, labels, _ = augmented(FRAME, LABELS, small, SPEC, 11, RNG(0))
    assert tensor.shape == (3, 40, 50)
    assert labels.shape == (40, 50)
    outside = np.ones((40, 50), bool)
    outside[:20, :25] = False
    assert (tensor[:, outside] == 0).all()
    assert (labels[outside] == 11).all()
    assert (tensor[:, ~outside] != 0).mean() > 0.9  # a pixel of exactly the mean is 0 too
    assert (labels[~outside] < 11).all()


def test_padding_takes_the_ignore_label() -> None:
    tensor, labels = padded(np.ones((3, 2, 3), np.float32), np.zeros((2, 3), np.uint8), Res(3, 5), 255)
    assert tensor[0].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert labels.tolist() == [[0, 0, 0, 255, 255], [0, 0, 0, 255, 255], [255] * 5]


def test_labels_go_with_their_pixels() -> None:
    """Crop and mirror, at scale 1: each label is where its pixel is."""
    coded = np.stack([LABELS * 20] * 3, -1)
    for seed in range(20):
        small = replace(PLAIN, crop=Res(16, 24), flip=0.5)
        tensor, labels, _ = augmented(coded, LABELS, small, SPEC, 11, RNG(seed))
        assert np.array_equal(np.rint(tensor[0] + SPEC.mean[0]), labels * 20.0)


def test_half_of_the_samples_are_mirrored() -> None:
    flipping = replace(PLAIN, flip=0.5)
    mirrored = 0
    for seed in range(200):
        _, labels, _ = augmented(FRAME, LABELS, flipping, SPEC, 11, RNG(seed))
        is_mirrored = np.array_equal(labels, LABELS[:, ::-1])
        assert is_mirrored or np.array_equal(labels, LABELS)
        mirrored += is_mirrored
    assert 70 < mirrored < 130  # 100, and four standard deviations of 7 around it


def test_crops_reach_every_corner() -> None:
    corners = {crop_corner(LABELS, replace(PLAIN, crop=Res(38, 47)), 11, RNG(seed)) for seed in range(300)}
    assert corners == {(top, left) for top in range(3) for left in range(4)}


def test_a_crop_of_one_class_is_drawn_again() -> None:
    """Left half one class, right half many: with the limit, hardly a crop is left with one class above 75 %."""
    labels = LABELS.copy()
    labels[:, :25] = 3
    limited = replace(PLAIN, crop=Res(10, 10), single_class_limit=0.75)

    def share_of_dull_crops(augment: Augment) -> float:
        dull = 0
        for seed in range(200):
            top, left = crop_corner(labels, augment, 11, RNG(seed))
            dull += (labels[top : top + 10, left : left + 10] == 3).mean() >= 0.75
        return dull / 200

    assert share_of_dull_crops(replace(limited, single_class_limit=1.0)) > 0.3
    assert share_of_dull_crops(limited) < 0.05


def test_ignored_pixels_do_not_count_towards_the_limit() -> None:
    labels = np.full((10, 12), 255, np.uint8)
    labels[:, 1], labels[:, 2] = 0, 1  # a crop that starts at column 2 has one class only
    limited = Augment(Res(10, 10), Scale(1, 1), single_class_limit=0.75)
    assert all(crop_corner(labels, limited, 255, RNG(seed))[1] <= 1 for seed in range(50))


def test_mmseg_recipes_differ_in_colour_and_class_limit() -> None:
    assert (MMSEG_680.augment.photometric, MMSEG_680.augment.single_class_limit) == (0.0, 1.0)
    assert (MMSEG_512.augment.photometric, MMSEG_512.augment.single_class_limit) == (1.0, 0.75)


def test_photometric_ranges_on_grey() -> None:
    """Grey has no hue or saturation: 100 becomes (100 +- 32) x (0.5 .. 1.5), and both ends are nearly reached."""
    grey = np.full((1, 1, 3), 100, np.uint8)
    values = np.array([distorted(grey, 1.0, RNG(seed)) for seed in range(8000)]).reshape(-1, 3).astype(int)
    assert (values.max(1) == values.min(1)).all()
    assert 34 <= values.min() < 38
    assert 186 < values.max() <= 198
    assert 0.2 < (values[:, 0] == 100).mean() < 0.3  # neither brightness nor contrast: 1/4


def test_photometric_hue_and_saturation_keep_value() -> None:
    """A pure colour's largest channel changes by brightness and contrast only; its hue turns by 36 degrees at most."""
    blue = np.full((1, 1, 3), (200, 40, 40), np.uint8)
    changed = [distorted(blue, 1.0, RNG(seed))[0, 0].astype(int) for seed in range(1000)]
    assert all(c.argmax() == 0 for c in changed)
    assert any(c[1] > c[2] + 30 for c in changed)  # towards cyan
    assert any(c[2] > c[1] + 30 for c in changed)  # towards purple
    assert np.array_equal(distorted(blue, 0.0, RNG(0)), blue)


def test_a_sample_is_a_function_of_its_seed() -> None:
    first, second, other = (augmented(FRAME, LABELS, MMSEG_512.augment, SPEC, 11, RNG(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], other[0])

"""The overlay and its legend: the right colours in the right places."""

from __future__ import annotations

import numpy as np
import pytest

from cgnet_deploy.contracts import model_spec
from cgnet_deploy.errors import UsageError
from cgnet_deploy.pixels import overlay
from cgnet_deploy.spec import ModelSpec
from cgnet_deploy.video.paint import GROUND, OverlayPainter, legend

CAMVID, CITYSCAPES = model_spec("camvid-official", 11, (3, 21)), model_spec("cityscapes-mmseg", 19, (3, 21))
RNG = np.random.default_rng(0)
FRAME, LABELS = RNG.integers(0, 256, (360, 480, 3), np.uint8), RNG.integers(0, 11, (360, 480), np.uint8)


def test_the_legend_is_below_and_hides_nothing() -> None:
    painted = OverlayPainter(CAMVID, 0.5)(FRAME, LABELS)
    assert np.array_equal(painted[:360], overlay(FRAME, LABELS, CAMVID, 0.5))
    assert painted.shape[0] > 360
    assert painted.shape[0] % 2 == 0
    assert np.array_equal(OverlayPainter(CAMVID, 0.5, legend=False)(FRAME, LABELS), painted[:360])


@pytest.mark.parametrize("spec", [CAMVID, CITYSCAPES])
@pytest.mark.parametrize("size", [(360, 480), (1024, 2048), (40, 56), (720, 1280), (97, 131)])
def test_every_class_has_its_colour_and_a_name_beside_it(spec: ModelSpec, size: tuple[int, int]) -> None:
    strip = legend(spec, range(spec.classes), *size)
    assert strip.shape[1] == size[1]
    for colour in {tuple(colour) for colour in spec.palette}:
        assert (strip == colour[::-1]).all(2).sum() >= 60, colour  # a filled swatch of at least 8x8
    ink = strip.min(2) > 150
    assert ink.sum() > 15 * spec.classes
    if size[1] >= 400:  # names fit: nothing is written in the last columns
        assert np.array_equal(np.unique(strip[:, -2:].reshape(-1, 3), axis=0), [GROUND])


def test_only_the_classes_asked_for_are_painted() -> None:
    painted = OverlayPainter(CAMVID, 0.5, ["road", "Car"])(FRAME, LABELS)[:360]
    chosen = np.isin(LABELS, (3, 8))
    assert np.array_equal(painted[~chosen], FRAME[~chosen])
    assert np.array_equal(painted[chosen], overlay(FRAME, LABELS, CAMVID, 0.5)[chosen])


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(UsageError, match="--classes Tram: no such class; wanted Sky, Building"):
        OverlayPainter(CAMVID, 0.5, ["Tram"])

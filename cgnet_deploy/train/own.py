"""The recipe for any data set: `OWN` of recipes.py, completed from the pictures and classes of the set.

input       mean and std of the train pictures (at most MEASURED of them, evenly spaced), in RGB; those of the
            checkpoint where training starts from one, since its weights expect them; the test size is the pictures'
            own, the median one of several, within LARGEST_PIXELS
crop        2/3 of the shorter side of that, a multiple of 8 in 32 to 512; scales 0.5 to 1.5
batch       OWN's; smaller sets are repeated to fill it
rate        OWN's from scratch, FINE_LR from a checkpoint
length      what the user says; else EPOCHS passes (half from a checkpoint), within FEWEST to MOST steps
intervals   a validation takes about a tenth of the time
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.errors import DataError
from cgnet_deploy.progress import track
from cgnet_deploy.spec import MAX_SIDE_PX, MIN_SIDE_PX, Res, Triple
from cgnet_deploy.train.feed import steps_per_epoch, total_steps
from cgnet_deploy.train.initial import Initial
from cgnet_deploy.train.length import validation_steps
from cgnet_deploy.train.overrides import lasting, overridden
from cgnet_deploy.train.recipe import FALL, Recipe, Trapezoid
from cgnet_deploy.train.recipes import OWN

log = logging.getLogger(__name__)

MEASURED = 500
SMALLEST_STD = 1.0  # of 255: pictures of one colour must not be divided by 0
LARGEST_PIXELS = 1024 * 2048
CROP = (32, 512)
FINE_LR = 1e-3
EPOCHS, FEWEST, MOST = 60, 1000, 20_000
MOST_VALIDATIONS = 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What `own` depends on. smallest, largest: of the measured pictures, by pixels. res: to test at."""

    name: str
    images: int
    val_images: int
    measured: int
    mean: Triple
    std: Triple
    smallest: Res
    largest: Res
    res: Res


def facts_of(train: Dataset, val: Dataset) -> Facts:
    """Reads pictures. Raises DataError if there are none, or for one that can't be read."""
    for dataset, split in ((train, "train"), (val, "val")):
        if not len(dataset):
            raise DataError(f"{dataset.name} has no picture in {split}")
    numbers = np.unique(np.linspace(0, len(train) - 1, min(len(train), MEASURED)).round().astype(int)).tolist()
    sizes, pixels, total, squares = [], 0, np.zeros(3), np.zeros(3)
    for i in track(numbers, len(numbers), f"measuring {train.name}"):
        frame = train.frame(i)
        mean, std = (moment.ravel()[::-1] for moment in cv2.meanStdDev(frame))  # BGR -> RGB
        area = frame.shape[0] * frame.shape[1]
        sizes.append(Res(*frame.shape[:2]))
        pixels, total, squares = pixels + area, total + area * mean, squares + area * (std**2 + mean**2)
    over_all: npt.NDArray[np.float64] = total / pixels
    deviation = np.sqrt(np.maximum(squares / pixels - over_all**2, SMALLEST_STD**2))
    by_pixels = sorted(sizes, key=lambda size: size.height * size.width)
    return Facts(
        train.name,
        len(train),
        len(val),
        len(numbers),
        _triple(over_all),
        _triple(deviation),
        by_pixels[0],
        by_pixels[-1],
        test_size(sizes),
    )


def test_size(sizes: Sequence[Res]) -> Res:
    """The median height and width; scaled, to multiples of 8, where that is out of bounds."""
    height, width = (statistics.median_high(side) for side in zip(*sizes, strict=True))
    factor = min(1.0, (LARGEST_PIXELS / (height * width)) ** 0.5)
    factor = max(factor, MIN_SIDE_PX / min(height, width))
    if factor == 1 and max(height, width) <= MAX_SIDE_PX:
        return Res(height, width)
    return Res(*(min(MAX_SIDE_PX, max(MIN_SIDE_PX, round(factor * side / 8) * 8)) for side in (height, width)))


def own_recipe(
    facts: Facts,
    init: Initial | None = None,
    *,
    settings: Sequence[str] = (),
    epochs: int | None = None,
    steps: int | None = None,
    minutes: float | None = None,
) -> Recipe:
    """settings: as `overridden` takes them; they go before what is chosen here. Logs what was chosen, and why."""
    recipe = replace(
        OWN,
        input=replace(OWN.input, mean=facts.mean, std=facts.std, res=facts.res),
        augment=replace(OWN.augment, crop=crop_of(facts.res)),
    )
    if init:
        recipe = replace(
            recipe,
            input=replace(init.input, res=facts.res) if init.input else recipe.input,
            blocks=init.model.blocks,
            classifier_bias=init.model.classifier.bias is not None,
            optimiser=replace(recipe.optimiser, lr=FINE_LR),
        )
    recipe = lasting(overridden(recipe, settings), epochs=epochs, steps=steps, minutes=minutes)
    recipe = overridden(_paced(recipe, facts, fine=init is not None), settings)
    _say(recipe, facts, init, settings)
    return recipe


def crop_of(res: Res) -> Res:
    side = min(CROP[1], max(CROP[0], min(res) * 2 // 3 // 8 * 8))
    return Res(side, side)


def _paced(recipe: Recipe, facts: Facts, fine: bool) -> Recipe:
    """With a length, a schedule that fits it, and intervals."""
    if recipe.epochs is recipe.steps is recipe.minutes is None:
        share = 0.5 if fine else 1.0
        wanted = EPOCHS * steps_per_epoch(facts.images, recipe.batch)
        recipe = replace(recipe, steps=int(share * min(MOST, max(FEWEST, wanted))))
    steps = total_steps(recipe, facts.images)
    every = max(
        100,
        _rounded(10 * validation_steps(recipe, facts.val_images)),
        0 if steps is None else _rounded(steps / MOST_VALIDATIONS),
    )
    if steps is not None:
        rise = recipe.schedule.rise if isinstance(recipe.schedule, Trapezoid) else 1
        recipe = replace(recipe, schedule=Trapezoid(max(1, min(rise, steps // 10)), max(1, int(FALL * steps))))
    return replace(recipe, validate_every=every, save_every=min(recipe.save_every, every))


def _rounded(steps: float) -> int:
    return round(steps / 50) * 50


def _triple(values: npt.NDArray[np.float64]) -> Triple:
    first, second, third = (round(float(v), 2) for v in values)
    return first, second, third


def _say(recipe: Recipe, facts: Facts, init: Initial | None, settings: Sequence[str]) -> None:
    spec, augment, optimiser = recipe.input, recipe.augment, recipe.optimiser
    if any(setting.startswith(("input.mean", "input.std", "input.color")) for setting in settings):
        source = "as --set gives it"
    elif init and init.input:
        source = f"kept from {init.path}, whose weights expect it"
    else:
        source = f"measured on {facts.measured} of {facts.images} train pictures"
    sizes = str(facts.smallest) if facts.smallest == facts.largest else f"{facts.smallest} to {facts.largest}"
    length = f"{recipe.epochs} epochs" if recipe.epochs else f"{recipe.steps} steps"
    if recipe.minutes is not None:
        length = f"{recipe.minutes:g} minutes, the last {100 * FALL:.0f} % with a falling rate"
    for line in (
        f"recipe own: {facts.name}, {facts.images} to train on, {facts.val_images} to validate on, {sizes}",
        f"recipe own: {spec.color.upper()} minus {spec.mean}, divided by {spec.std}: {source}",
        f"recipe own: pictures are resized to {spec.res}, then scaled by {augment.scale.low} to {augment.scale.high}, "
        f"cropped to {augment.crop}; {recipe.batch} a step",
        f"recipe own: {length}; {optimiser.kind}, rate {optimiser.lr:g}; validates every {recipe.validate_every} "
        f"steps, saves every {recipe.save_every}; --set KEY=VALUE changes any of it",
    ):
        log.info(line)

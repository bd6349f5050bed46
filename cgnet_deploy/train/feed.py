"""Batches as a pure function of (seed, step): resuming, more workers or more processes change nothing.

epoch e     a permutation of the samples drawn from (seed, e); its last, incomplete batch is dropped; of a set
            smaller than a batch, as many permutations as fill one
step t      batch t mod (batches an epoch) of epoch t div (batches an epoch)
position p  of that batch is augmented with a generator seeded by (seed, t, p)
rank r      of R processes takes the positions r, r + R, r + 2R, ...
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from cgnet_deploy.data.dataset import Dataset, sample
from cgnet_deploy.errors import CgnetError, DataError, UsageError
from cgnet_deploy.pixels import F32, U8
from cgnet_deploy.train.augment import augmented
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.softlabels import SoftLabels
from cgnet_deploy.train.workers import Batch, as_worker, served

Item = tuple[F32, U8] | tuple[F32, U8, F32]


class Key(NamedTuple):
    """One sample of one step."""

    step: int
    position: int
    sample: int


class Share(NamedTuple):
    """This process among those that train together."""

    rank: int = 0
    world: int = 1


ALONE = Share()


def steps_per_epoch(samples: int, batch: int) -> int:
    """At least 1. Raises DataError if there are no samples."""
    if not samples:
        raise DataError("there is no picture to train on")
    return max(1, samples // batch)


def total_steps(recipe: Recipe, samples: int) -> int | None:
    """None for a length in minutes. Raises UsageError for a recipe without a length."""
    per_epoch = steps_per_epoch(samples, recipe.batch)
    if recipe.steps:
        return recipe.steps
    if recipe.epochs:
        return recipe.epochs * per_epoch
    if recipe.minutes is None:
        raise UsageError(f"recipe {recipe.name} has no length; give --iterations or --epochs")
    return None


def keys_of(recipe: Recipe, samples: int, step: int, share: Share = ALONE) -> list[Key]:
    """What this process reads at `step`."""
    epoch, within = divmod(step, steps_per_epoch(samples, recipe.batch))
    rng = np.random.default_rng([recipe.seed, epoch])
    order = np.concatenate([rng.permutation(samples) for _ in range(max(1, math.ceil(recipe.batch / samples)))])
    chosen = order[within * recipe.batch : (within + 1) * recipe.batch]
    return [Key(step, p, int(chosen[p])) for p in range(share.rank, recipe.batch, share.world)]


@dataclass(frozen=True, slots=True)
class Augmented:
    """What torch's DataLoader reads: Key -> augmented sample, or the error that reading it caused."""

    dataset: Dataset
    recipe: Recipe
    soft: SoftLabels | None = None

    def __getitem__(self, key: Key) -> Item | CgnetError:
        rng = np.random.default_rng([self.recipe.seed, key.step, key.position])
        try:
            frame, labels = sample(self.dataset, key.sample)
        except CgnetError as error:  # raised in the main process: a worker would wrap it in its own traceback
            return error
        augment, ignore_label = self.recipe.augment, self.dataset.table.ignore_label
        tensor, labels, view = augmented(frame, labels, augment, self.recipe.input, ignore_label, rng)
        if self.soft is None:
            return tensor, labels
        return tensor, labels, self.soft.seen(key.sample, view, augment.crop)

    def __len__(self) -> int:
        return len(self.dataset)


def batches(
    dataset: Dataset, recipe: Recipe, steps: range, share: Share, workers: int, soft: SoftLabels | None = None
) -> Generator[Batch]:
    """For each step (n, 3, h, w) f32 and (n, h, w) int64, n = batch / world, pinned where a GPU is; and, with `soft`,
    (n, K, h', w') f32 of it.

    workers: processes that read ahead, started at once; 0 reads in this one. Raises DataError at the step of a bad
    sample, WorkerDied.
    """
    loader: DataLoader[Batch | CgnetError] = DataLoader(
        Augmented(dataset, recipe, soft),  # type: ignore[arg-type]
        batch_sampler=(keys_of(recipe, len(dataset), step, share) for step in steps),
        num_workers=workers,
        # Python 3.14's default, a server that forks, is one more process for signals to reach, and imports torch again.
        multiprocessing_context="fork" if workers else None,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=as_worker,
    )
    return served(loader)


def bytes_of_batch(recipe: Recipe, share: Share) -> int:
    """Of its images, f32, and its labels, int64, as a process passes them on."""
    crop = recipe.augment.crop
    return recipe.batch // share.world * crop.height * crop.width * (3 * 4 + 8)


def _collate(samples: list[Item | CgnetError]) -> Batch | CgnetError:
    good = []
    for item in samples:
        if isinstance(item, CgnetError):
            return item
        good.append(item)
    tensors, labels, *soft = (torch.from_numpy(np.stack(part)) for part in zip(*good, strict=True))
    return tensors, labels.long(), *soft

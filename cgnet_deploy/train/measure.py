"""One training step against the plainest loop around the same network, on random pixels.

    python -m cgnet_deploy.train.measure [--crop 360x360] [--batch 8] [--steps 5] [--threads 2]

Both run in turns, so that whatever else the machine does hits both; the median step counts. Peak memory is
that of a process of its own for each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.spec import Res
from cgnet_deploy.terminal import Parser, res_argument, run
from cgnet_deploy.train.learner import Learner, fresh
from cgnet_deploy.train.recipes import CAMVID_OFFICIAL, Recipe

CLASSES, VOID = 11, 11
WARM_UP = 1  # steps: the first allocates
Step = Callable[[], None]


def main(argv: Sequence[str] | None = None) -> int:
    return run(_parser(), _measure, argv)


def _parser() -> Parser:
    result = Parser("measure", "Time a training step and its peak memory against the plainest loop.")
    result.add_argument("--crop", type=res_argument, default=CAMVID_OFFICIAL.augment.crop, help="HxW in pixels")
    result.add_argument("--batch", type=int, default=CAMVID_OFFICIAL.batch, help="images a step")
    result.add_argument("--steps", type=int, default=5, help="timed steps of each")
    result.add_argument("--threads", type=int, default=2, help="torch threads")
    return result


def plain(recipe: Recipe, images: torch.Tensor, labels: torch.Tensor) -> Step:
    """The loop of every tutorial."""
    model = fresh(recipe, CLASSES).train()
    weights = torch.ones(CLASSES)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=5e-4)

    def step() -> None:
        optimiser.zero_grad()
        loss = F.cross_entropy(model(images), labels, weights, ignore_index=VOID)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def ours(recipe: Recipe, images: torch.Tensor, labels: torch.Tensor) -> Step:
    learner = Learner(fresh(recipe, CLASSES), recipe, np.ones(CLASSES, np.float32), VOID, torch.device("cpu"))

    def step() -> None:
        learner.learn(images, labels, recipe.optimiser.lr)

    return step


LOOPS = {"plain": plain, "ours": ours}


def _step(name: str, crop: Res, batch: int, threads: int) -> Step:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    recipe = replace(CAMVID_OFFICIAL, batch=batch)
    return LOOPS[name](recipe, torch.randn(batch, 3, *crop), torch.randint(0, CLASSES + 1, (batch, *crop)))


def _peak(name: str, crop: Res, batch: int, threads: int) -> float:
    """MiB; run in a fresh process."""
    step = _step(name, crop, batch, threads)
    for _ in range(WARM_UP + 1):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _measure(args: argparse.Namespace) -> int:
    peaks: dict[str, float] = {}
    for name in LOOPS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peaks[name] = pool.apply(_peak, (name, args.crop, args.batch, args.threads))
    steps = {name: _step(name, args.crop, args.batch, args.threads) for name in LOOPS}
    samples_s: dict[str, list[float]] = {name: [] for name in LOOPS}
    for turn in range(WARM_UP + args.steps):
        for name, step in steps.items():
            start_ns = CLOCK.now_ns()
            step()
            if turn >= WARM_UP:
                samples_s[name].append((CLOCK.now_ns() - start_ns) / 1e9)
    print(f"batch {args.batch}, {args.crop.spelled()}, {args.threads} threads, median of {args.steps} steps in turns")
    for name in LOOPS:
        rate = args.batch / statistics.median(samples_s[name])
        best = args.batch / min(samples_s[name])
        print(f"{name:6} {rate:6.2f} img/s (best step {best:.2f})  peak memory {peaks[name]:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

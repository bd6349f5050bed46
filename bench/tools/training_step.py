"""One training step against the plainest loop around the same network, on random pixels.

    python -m cgnet_deploy.bench.tools.training_step [--crop 360x360] [--batch 8] [--steps 5] [--threads 2]

They alternate step by step, so that other load on the machine hits both; the median step counts. Peak memory is that
of a process of its own for each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.memory import peak_mib
from cgnet_deploy.spec import Res
from cgnet_deploy.terminal import Parser, integer, res_argument, run
from cgnet_deploy.train.learner import Learner, fresh
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.recipes import CAMVID_OFFICIAL

CLASSES, VOID = 11, 11
WARM_UP = 1  # steps: the first allocates
Step = Callable[[], float]


def main(argv: Sequence[str] | None = None) -> int:
    def command(args: argparse.Namespace) -> int:
        measure(args.crop, args.batch, args.steps, args.threads)
        return 0

    return run(_parser(), command, argv)


def _parser() -> Parser:
    result = Parser(
        "python -m cgnet_deploy.bench.tools.training_step",
        "Time a training step and its peak memory against the plainest loop.",
    )
    result.add_argument("--crop", type=res_argument, default=CAMVID_OFFICIAL.augment.crop, help="HxW in pixels")
    result.add_argument("--batch", type=integer(1, 1024), default=CAMVID_OFFICIAL.batch, help="images a step")
    result.add_argument("--steps", type=integer(1, 100_000), default=5, help="timed steps of each")
    result.add_argument("--threads", type=integer(1, 1024), default=2, help="torch threads")
    return result


def plain(recipe: Recipe, images: torch.Tensor, labels: torch.Tensor) -> Step:
    """The loop of every tutorial."""
    model = fresh(recipe, CLASSES).train()
    weights = torch.ones(CLASSES)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=5e-4)

    def step() -> float:
        optimiser.zero_grad()
        loss = F.cross_entropy(model(images), labels, weights, ignore_index=VOID)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(loss.detach())

    return step


def ours(recipe: Recipe, images: torch.Tensor, labels: torch.Tensor) -> Step:
    learner = Learner(fresh(recipe, CLASSES), recipe, np.ones(CLASSES, np.float32), VOID, torch.device("cpu"))

    def step() -> float:
        return float(learner.learn(images, labels, recipe.optimiser.lr)[0])

    return step


LOOPS = {"plain": plain, "ours": ours}


def _step(name: str, crop: Res, batch: int, threads: int) -> Step:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    recipe = replace(CAMVID_OFFICIAL, batch=batch)
    return LOOPS[name](recipe, torch.randn(batch, 3, *crop), torch.randint(0, CLASSES + 1, (batch, *crop)))


def _peak_mib(name: str, crop: Res, batch: int, threads: int) -> float:
    """Run in a fresh process."""
    step = _step(name, crop, batch, threads)
    for _ in range(WARM_UP + 1):
        step()
    return peak_mib()


def measure(crop: Res, batch: int, steps: int, threads: int) -> None:
    """Print the rate, the peak memory and the last loss of each loop."""
    sizes = (crop, batch, threads)
    samples_s, losses = timed({name: _step(name, *sizes) for name in LOOPS}, steps)
    print(f"batch {batch}, {crop.spelled()}, {threads} threads, median of {steps} alternating steps")
    for name, times_s in samples_s.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak_mib = pool.apply(_peak_mib, (name, *sizes))
        rate, best = batch / statistics.median(times_s), batch / min(times_s)
        speed = f"{name:6} {rate:6.2f} img/s (best step {best:.2f})"
        print(f"{speed}  peak memory {peak_mib:.0f} MiB  loss {losses[name]:.4f}")


def timed(steps: dict[str, Step], count: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of `count` steps of each, in alternation, after WARM_UP, and the loss of the last."""
    losses: dict[str, float] = {}
    samples_s: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(WARM_UP + count):
        for name, step in steps.items():
            start_ns = CLOCK.now_ns()
            losses[name] = step()
            samples_s[name].append((CLOCK.now_ns() - start_ns) / 1e9)
    return {name: times[WARM_UP:] for name, times in samples_s.items()}, losses


if __name__ == "__main__":
    sys.exit(main())

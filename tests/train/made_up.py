"""Data sets of any classes, held in memory, that `cgnet-train` opens whatever --data says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.data.memory import InMemory
from cgnet_deploy.spec import Res
from cgnet_deploy.train import start


def made_up(names: Sequence[str], sizes: Sequence[Res], *, only: int | None = None, seed: int = 0) -> InMemory:
    """A picture a size, of 8-pixel tiles whose brightness shows their class; the first row is ignored (255).

    only: the one class that occurs.
    """
    rng = np.random.default_rng(seed)
    samples = []
    for height, width in sizes:
        tiles = rng.integers(0, len(names), (-(-height // 8), -(-width // 8)), np.uint8)
        labels = np.kron(tiles, np.ones((8, 8), np.uint8))[:height, :width].copy()
        if only is not None:
            labels[:] = only
        labels[0] = 255
        shade = 40 + labels.astype(np.int16) % 255 * 160 // max(1, len(names))
        frame = np.stack([shade + 20, shade, shade - 20], -1) + rng.integers(-5, 6, (height, width, 3))
        samples.append((np.clip(frame, 0, 255).astype(np.uint8), labels))
    palette = tuple((20 * i, 255 - 20 * i, 90) for i in range(len(names)))
    table = ClassTable(tuple(names), palette, 255)
    return InMemory("made-up", table, tuple(map(str, range(len(sizes)))), tuple(samples))


def opened_as(monkeypatch: pytest.MonkeyPatch, train: Dataset, val: Dataset) -> None:
    def open_dataset(where: str, split: str) -> Dataset:
        return val if split == "val" else train

    monkeypatch.setattr(start, "open_dataset", open_dataset)

"""The weights in the package: small, described, and as good as they say on what they were validated on."""

from __future__ import annotations

from pathlib import Path

import pytest

import cgnet_deploy
from cgnet_deploy.checkpoint import load_checkpoint
from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data import open_dataset, sample
from cgnet_deploy.train.evaluate import ONE_SCALE, predict
from cgnet_deploy.train.recipes import RECIPES

WEIGHTS = Path(cgnet_deploy.__file__).parent / "weights"
MAX_BYTES = 2_200_000


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.pth")), ids=lambda path: path.stem)
def test_shipped_weights_tell_where_they_come_from(path: Path) -> None:
    assert path.stat().st_size <= MAX_BYTES
    checkpoint = load_checkpoint(path)
    recipe = RECIPES[checkpoint.provenance["recipe"]]
    assert checkpoint.spec.input == recipe.input
    assert checkpoint.spec.blocks == recipe.blocks
    for note in ("data", "data_note", "changed", "seed", "step", "val_miou", "trained_on", "made_with"):
        assert checkpoint.provenance[note]


def test_scenes_are_told_apart() -> None:
    """Six of the 60 validation scenes: their mIoU may lie a few points from that of all, not below 70 %."""
    checkpoint = load_checkpoint(WEIGHTS / "scenes.pth")
    val = open_dataset("scenes", "val")
    confusion = Confusion.empty(11)
    for i in range(6):
        frame, truth = sample(val, i)
        labels = predict(checkpoint.model, frame, checkpoint.spec.input, ONE_SCALE, flip=False)
        confusion += Confusion.of(truth, labels, 11, val.table.ignore_label)
    assert float(checkpoint.provenance["val_miou"]) >= 0.80
    assert confusion.miou > 0.70

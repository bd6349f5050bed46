"""The weights in the package: small, described, and as good as their notes claim."""

from __future__ import annotations

from pathlib import Path

import pytest

import cgnet_deploy
from cgnet_deploy.checkpoint.reading import Checkpoint, load_checkpoint
from cgnet_deploy.data.dataset import Dataset
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.evaluation import confusion_of
from cgnet_deploy.train.evaluate import labeller
from cgnet_deploy.train.recipes import RECIPES

WEIGHTS = Path(cgnet_deploy.__file__).parent / "weights"
MAX_BYTES = 2_200_000


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.pth")), ids=lambda path: path.stem)
def test_shipped_weights_say_where_they_come_from(path: Path) -> None:
    assert path.stat().st_size <= MAX_BYTES
    checkpoint = load_checkpoint(path)
    recipe = RECIPES[checkpoint.provenance["recipe"]]
    assert checkpoint.spec.input == recipe.input
    assert checkpoint.spec.blocks == recipe.blocks
    for note in ("data", "data_note", "changed", "seed", "step", "val_miou", "trained_on", "made_with"):
        assert checkpoint.provenance[note]


def score(checkpoint: Checkpoint, dataset: Dataset, chosen: range) -> float:
    """mIoU over some images of a split."""
    label = labeller(checkpoint.model, checkpoint.spec.input)
    return confusion_of(label, dataset, checkpoint.spec.input.res, images=chosen).miou


# A tenth of the images: their mIoU strays a few points from that of all, not ten.


def test_scenes_score_what_their_checkpoint_says() -> None:
    checkpoint = load_checkpoint(WEIGHTS / "scenes.pth")
    val = open_dataset("scenes", "val")
    assert score(checkpoint, val, range(0, len(val), 10)) > float(checkpoint.provenance["val_miou"]) - 0.10


@pytest.mark.shared
@pytest.mark.parametrize("name", ["camvid.pth", "camvid-scratch.pth"])
def test_camvid_scores_what_its_checkpoint_says(name: str, shared: Path) -> None:
    checkpoint = load_checkpoint(WEIGHTS / name)
    val = open_dataset(str(shared / "camvid"), "val")
    assert score(checkpoint, val, range(0, len(val), 10)) > float(checkpoint.provenance["val_miou"]) - 0.10

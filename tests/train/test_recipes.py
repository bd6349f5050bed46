"""The published recipes, against what was published; and that each of them trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import Res
from cgnet_deploy.train.feed import total_steps
from cgnet_deploy.train.overrides import overridden
from cgnet_deploy.train.recipe import ByFrequency, Poly
from cgnet_deploy.train.recipes import (
    CAMVID,
    CAMVID_OFFICIAL,
    CITYSCAPES_OFFICIAL,
    MMSEG_512,
    MMSEG_680,
    RECIPES,
    SCENES,
)
from tests.data.trees import camvid_tree, cityscapes_tree
from tests.train.runs import losses, trained


def test_official_schedules_have_the_published_length() -> None:
    assert total_steps(CAMVID_OFFICIAL, 468) == 46_400  # num_batches_tracked of the released weights
    assert total_steps(CITYSCAPES_OFFICIAL, 2975) == 55_500
    assert total_steps(MMSEG_680, 2975) == total_steps(MMSEG_512, 2975) == 60_000


def test_official_optimiser_and_crops() -> None:
    for recipe in (CAMVID_OFFICIAL, CITYSCAPES_OFFICIAL, MMSEG_680, MMSEG_512):
        optimiser = recipe.optimiser
        assert (optimiser.kind, optimiser.lr, optimiser.beta2) == ("adam", 1e-3, 0.999)
        assert (optimiser.weight_decay, optimiser.decayed) == (5e-4, "all")
        assert recipe.ema == recipe.clip == 0
        assert recipe.augment.flip == 0.5
        assert recipe.blocks == (3, 21)
    assert [r.augment.crop for r in (CAMVID_OFFICIAL, CITYSCAPES_OFFICIAL, MMSEG_680, MMSEG_512)] == [
        Res(360, 360),
        Res(680, 680),
        Res(680, 680),
        Res(512, 1024),
    ]
    assert CAMVID_OFFICIAL.class_weights == CITYSCAPES_OFFICIAL.class_weights == ByFrequency(1.10)
    assert CAMVID_OFFICIAL.schedule == Poly(0.9, 0.0)
    assert MMSEG_680.schedule == Poly(0.9, 1e-4)
    assert (CAMVID_OFFICIAL.split, CAMVID.split, SCENES.split) == ("trainval", "train", "train")


# The size and the amount of work are cut down; data, labels, loss, optimiser and schedule are the recipe's own.
SMALL = ("blocks=2,2", "batch=2", "augment.crop=64x96", "input.res=64x128", "log_every=1")


@pytest.mark.parametrize("name", ["mmseg-680x680", "mmseg-512x1024", "cityscapes-official"])
def test_cityscapes_recipes_train(name: str, tmp_path: Path) -> None:
    """On the real layout, with label 255: the published configuration stops at its first batch there."""
    data = cityscapes_tree(tmp_path / "cityscapes")
    assert trained(data, tmp_path / "out", "--iterations", "20", recipe=name, settings=SMALL) == 0
    curve = losses(tmp_path / "out")
    assert len(curve) == 20
    assert sum(curve[-5:]) < 0.97 * sum(curve[:5])
    saved = load_checkpoint(tmp_path / "out" / "last.pth")
    assert saved.spec.input.mean == RECIPES[name].input.mean
    assert (saved.model.classifier.bias is not None) == RECIPES[name].classifier_bias


def test_camvid_official_trains_on_both_splits(tmp_path: Path) -> None:
    data = camvid_tree(tmp_path / "camvid")
    assert trained(data, tmp_path / "out", "--epochs", "2", recipe="camvid-official", settings=SMALL) == 0
    saved = load_checkpoint(tmp_path / "out" / "last.pth")
    assert saved.provenance["data"] == "CamVid, trainval, 6 images"
    assert saved.provenance["step"] == "6 of 6"
    assert "epochs=2" in saved.provenance["changed"]
    assert saved.contract == "custom"  # its test size was changed above


def test_settings_take_the_type_of_what_they_replace() -> None:
    changed = overridden(
        CAMVID, ["batch=6", "optimiser.lr=2e-3", "augment.crop=96x128", "blocks=3,9", "amp=true", "schedule.fall=9"]
    )
    assert (changed.batch, changed.optimiser.lr, changed.blocks, changed.amp) == (6, 2e-3, (3, 9), True)
    assert changed.augment.crop == Res(96, 128)
    assert changed.augment.scale == CAMVID.augment.scale
    assert overridden(CAMVID, []) is CAMVID
    for setting in ("amp=perhaps", "blocks=3", "batch=1.5", "augment.crop=96"):
        with pytest.raises(UsageError, match=r"wanted a value like|is not HEIGHTxWIDTH"):
            overridden(CAMVID, [setting])
    with pytest.raises(UsageError, match="below"):
        overridden(CAMVID, ["batch.size=3"])

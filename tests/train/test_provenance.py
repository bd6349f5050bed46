"""What a checkpoint says about the pictures that it was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.train.provenance import provenance
from cgnet_deploy.train.recipes import RECIPES
from cgnet_deploy.train.state import run_file
from tests.data.own import put
from tests.data.trees import camvid_tree


@pytest.mark.parametrize("names", ["", "names: [a, b]\nvalues: {0: a, 1: b}\n"])
def test_the_licence_of_pictures_stays_when_a_description_gives_them_other_classes(names: str, tmp_path: Path) -> None:
    camvid_tree(tmp_path)
    if names:
        put(tmp_path / "data.yaml", names)
    dataset = open_dataset(str(tmp_path), "train")
    assert (dataset.name == "CamVid") is not bool(names)
    recipe = next(iter(RECIPES.values()))
    notes = provenance(
        recipe, dataset, torch.device("cpu"), run_file(recipe, "x", "fresh weights", "", "none"), 0, 1, None
    )
    assert "for personal and research use" in notes["data_note"]

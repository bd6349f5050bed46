"""The mean of networks: its tensors, its BatchNorm, its notes, and what has no mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.contracts import CAMVID_CLASSES
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.model import CGNet, ConvBnPrelu
from cgnet_deploy.spec import InputSpec, ModelSpec, Res
from cgnet_deploy.train.average import main
from cgnet_deploy.train.mean import average
from cgnet_deploy.train.recipes import CAMVID
from tests.data.trees import camvid_tree
from tests.networks import drawn

INPUT = InputSpec((105.0, 100.0, 95.0), (60.0, 60.0, 60.0), "rgb", Res(48, 64))
SMALL = replace(CAMVID, batch=2, input=INPUT, augment=replace(CAMVID.augment, crop=Res(32, 32)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return camvid_tree(tmp_path_factory.mktemp("camvid"), images=4)


def saved(path: Path, seed: int, spec: InputSpec = INPUT, model: CGNet | None = None) -> Path:
    names, palette = CAMVID_CLASSES.names, CAMVID_CLASSES.palette
    model = model or drawn(11, seed=seed)
    save_checkpoint(path, model, ModelSpec(spec, names, palette, 11, model.blocks), {"seed": str(seed)})
    return path


def test_weights_are_averaged_and_batchnorm_is_measured_again(data: Path, tmp_path: Path) -> None:
    read = [load_checkpoint(saved(tmp_path / f"{seed}.pth", seed)) for seed in range(3)]
    wanted = torch.stack([one.model.classifier.weight.detach().clone() for one in read]).mean(0)
    dataset = open_dataset(str(data), "train")
    model = average(read, dataset, SMALL, 3)
    assert torch.allclose(model.classifier.weight, wanted)
    assert not model.training
    # In training mode each layer normalises by its batch; the running statistics are the mean over the batches.
    stem = model.stem[0]
    assert isinstance(stem, ConvBnPrelu)
    first = stem.bn
    seen: list[torch.Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean((0, 2, 3))))
    average([replace(read[0], model=model)], dataset, SMALL, 3)
    hook.remove()
    assert first.running_mean is not None
    assert torch.allclose(first.running_mean, torch.stack(seen).mean(0), atol=1e-5)


def test_the_command_writes_a_network_that_says_what_it_is_the_mean_of(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, out = saved(tmp_path / "one.pth", 1), saved(tmp_path / "two.pth", 2), tmp_path / "mean.pth"
    arguments = ["--data", str(data), "--recipe", "camvid", "--steps", "1", "--out", str(out)]
    assert main([str(one), str(two), *arguments]) == 0
    notes = load_checkpoint(out).provenance
    assert notes["mean_of"].startswith("one.pth, sha256 ")
    assert ", two.pth, sha256 " in notes["mean_of"]
    assert notes["started_from"].startswith("one.pth, sha256 ")  # which says nothing of itself
    assert notes["seed"] == "2"
    assert main([str(one), *[str(out)] * 9, *arguments]) == 0
    again = load_checkpoint(out).provenance
    assert again["started_from"] == notes["started_from"]
    assert again["mean_of"].endswith("...")
    assert f"val mIoU {100 * float(notes['val_miou']):.2f} %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "wanted"),
    [
        ({"spec": replace(INPUT, color="bgr")}, "input is"),
        ({"model": drawn(11, (2, 3))}, "blocks is (2, 2) and (2, 3)"),
        ({"model": drawn(11, bias=True)}, "bias"),
    ],
)
def test_different_networks_have_no_mean(
    other: dict[str, object], wanted: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = saved(tmp_path / "one.pth", 1), saved(tmp_path / "two.pth", 2, **other)  # type: ignore[arg-type]
    assert main([str(one), str(two), "--data", str(data), "--recipe", "camvid", "--out", str(tmp_path / "m.pth")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert wanted in line
    assert not (tmp_path / "m.pth").exists()
